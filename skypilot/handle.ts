import type { z } from 'zod'
import { logLines } from './log-lines.ts'
import { type CallOptions, parse, type Requests } from './requests.ts'
import type { Transport } from './transport.ts'

/** A piece of work that the server has taken. */
export interface RequestHandle<T> {
  /** The server's id. Keep it, and another process can ask with `requests.get` what came of it. */
  readonly id: string
  /** Waits for the end and reads the result. Repeatable. @throws SkyPilotError as `requests.get` does */
  result(options?: CallOptions): Promise<T>
  /** The request's own log, such as the steps of provisioning, line by line until the request ends. */
  stream(options?: { signal?: AbortSignal }): Promise<AsyncIterable<string>>
  /** Asks the server to give the request up. What it has done so far stays done. */
  cancel(options?: CallOptions): Promise<void>
  toJSON(): string
}

/** Submits work and hands out what it takes to follow it. Never repeated by itself: not all work may be done twice. */
export async function submitted<T>(
  { transport, requests }: { transport: Transport; requests: Requests },
  call: { path: string; body: Record<string, unknown>; schema: z.ZodType<T>; options: CallOptions },
): Promise<RequestHandle<T>> {
  const id = await requests.submit(call.path, call.body, call.options)
  return {
    id,
    async result(options = {}) {
      const payload = await requests.get(id, options)
      return parse(call.schema, payload.return_value ?? 'null')
    },
    async stream({ signal } = {}) {
      const path = `/api/stream?request_id=${id}&format=plain`
      return logLines(await transport.openLog({ method: 'GET', path, signal }))
    },
    cancel: (options) => requests.cancel([id], options),
    toJSON: () => id,
  }
}
