import { parse } from './answers.ts'
import { logLines } from './log-lines.ts'
import { type CallOptions, checkedId, RESULT_MS, type Requests, type Submission } from './requests.ts'
import { RESULTS, type RequestKind, type ResultOf } from './results.ts'
import type { Transport } from './transport.ts'

export interface StreamOptions {
  /** False: only what there is by now. */
  follow?: boolean
  /** The last so many lines; all of them without it. */
  tail?: number
  signal?: AbortSignal
}

/** A piece of work that the server has taken. */
export interface RequestHandle<T> {
  /** The server's id. Keep it, and another process can go on with `requests.attach`. */
  readonly id: string
  readonly kind: RequestKind
  /** Waits for the end and reads the result. Repeatable. @throws SkyPilotError as `requests.get` does */
  result(options?: CallOptions): Promise<T>
  /** The request's own log, such as the steps of provisioning, line by line until the request ends. */
  stream(options?: StreamOptions): Promise<AsyncIterable<string>>
  /** Hands each line of the log to `onLine` until the request ends, then reads the result. */
  streamAndGet(onLine: (line: string) => void, options?: { signal?: AbortSignal }): Promise<T>
  /** Asks the server to give the request up. What it has done so far stays done. */
  cancel(options?: CallOptions): Promise<void>
  toJSON(): string
}

/** A log that is read while it is written. */
export interface LogStream extends AsyncIterable<string> {
  /** The id of the request that reads the log; null where the server reads a file without one. */
  readonly requestId: string | null
  /**
   * What became of the job, for a log that has been read to its end: 0 succeeded, 100 failed, 101 not finished, 102 not
   * found, 103 cancelled; null where the server does not say. Ask: a cluster that does not exist has an empty log.
   * @throws SkyPilotError `rejected` with the reason why there was no log
   */
  exitCode(options?: CallOptions): Promise<number | null>
}

type LogKind = 'logs' | 'jobs.logs' | 'serve.logs'

export type Calls = ReturnType<typeof createCalls>

/** The three ways to ask for work: hand out a handle, wait for the answer, or read a log. */
export function createCalls(transport: Transport, requests: Requests) {
  function attach<K extends RequestKind>(id: string, kind: K): RequestHandle<ResultOf<K>> {
    checkedId(id)
    const result = async (options: CallOptions = {}): Promise<ResultOf<K>> => {
      const payload = await requests.get(id, options)
      return parse(RESULTS[kind], payload.return_value ?? 'null')
    }
    const stream = async (options: StreamOptions = {}): Promise<AsyncIterable<string>> => {
      const call = { method: 'GET' as const, path: streamPath(id, options), signal: options.signal }
      return logLines((await transport.openLog(call)).body)
    }
    return {
      id,
      kind,
      result,
      stream,
      async streamAndGet(onLine, options = {}) {
        for await (const line of await stream(options)) onLine(line)
        return result(options)
      },
      async cancel(options) {
        await requests.cancel([id], options)
      },
      toJSON: () => id,
    }
  }

  return {
    attach,

    /** Submits work and hands out what it takes to follow it. Never repeated by itself: not all work may be done twice. */
    async begin<K extends RequestKind>(
      kind: K,
      submission: Submission,
      options: CallOptions,
    ): Promise<RequestHandle<ResultOf<K>>> {
      return attach(await requests.submit(submission, options), kind)
    },

    /** Submits a question and waits for its answer. */
    async ask<K extends RequestKind>(
      kind: K,
      submission: Submission,
      options: CallOptions,
    ): Promise<ResultOf<K>> {
      const request = attach(await requests.submit(submission, options), kind)
      return request.result({ ...options, timeoutMs: options.timeoutMs ?? RESULT_MS })
    },

    /** Opens a log. */
    async tail(
      kind: LogKind,
      submission: Required<Submission>,
      signal: AbortSignal | undefined,
    ): Promise<LogStream> {
      const open = () => transport.openLog({ method: 'POST', ...submission, signal })
      const { body, requestId } = await open()
      // Opened again, a log begins at its beginning; one that began later cannot be continued by counting lines.
      const reopen = submission.body['tail'] ? undefined : async () => (await open()).body
      return {
        requestId,
        [Symbol.asyncIterator]: () => logLines(body, reopen)[Symbol.asyncIterator](),
        exitCode: async (options = {}) =>
          requestId === null ? null : attach(requestId, kind).result({ timeoutMs: RESULT_MS, ...options }),
      }
    },
  }
}

function streamPath(id: string, { follow, tail }: StreamOptions): string {
  const search = new URLSearchParams({ request_id: id, format: 'plain' })
  if (follow !== undefined) search.set('follow', String(follow))
  if (tail !== undefined) search.set('tail', String(tail))
  return `/api/stream?${search}`
}
