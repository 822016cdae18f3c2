import { z } from 'zod'
import { fromFailure, fromStatus, parse, remoteError, tryJson } from './answers.ts'
import { SkyPilotError } from './errors.ts'
import { milliseconds, RequestPayload, rows } from './schemas.ts'
import type { Transport } from './transport.ts'

/** SkyPilot makes its ids itself (uuid4). Anything else is not put into a URL. */
const REQUEST_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Results of quick requests come in seconds; a cold server takes longer for its first. */
export const RESULT_MS = 60_000

/** A request in the server's table. */
export interface ListedRequest {
  requestId: string
  /** Such as `sky.jobs.launch`. */
  name: string
  /** PENDING, WAITING, RUNNING, SUCCEEDED, FAILED or CANCELLED. */
  status: string
  /** Why it waits, in the server's words. */
  statusMessage: string | null
  clusterName: string | null
  userName: string | null
  createdAtMs: number | null
  finishedAtMs: number | null
  /** The body that was submitted, parsed; undefined where the server does not show it. */
  body: unknown
}

export interface CallOptions {
  signal?: AbortSignal
  /** How long to wait for the answer. */
  timeoutMs?: number
  /**
   * Told the request's id as soon as the server has taken the work, also by calls that wait for their answer: with it
   * another process can ask (`requests.attach`), follow or cancel.
   */
  onRequest?: (requestId: string) => void
}

export interface RequestQuery extends Pick<CallOptions, 'signal' | 'timeoutMs'> {
  /** These only, by id or the beginning of one; the other filters do not count then. */
  requestIds?: readonly string[]
  /** Finished ones too. */
  allStatus?: boolean
  clusterName?: string
  limit?: number
  /** Only these columns. The others come back empty, `status` as PENDING: name each one that you read. */
  fields?: readonly string[]
}

/** Work to be queued. */
export interface Submission {
  path: string
  /** Left out, it is a GET. */
  body?: Record<string, unknown>
}

export type Requests = ReturnType<typeof createRequests>

/** The server's table of requests: submitting, asking for results, listing, cancelling. */
export function createRequests(transport: Transport) {
  /** Queues a piece of work and returns its request id as soon as the server has taken it. */
  async function submit({ path, body }: Submission, options: CallOptions = {}): Promise<string> {
    const { signal, timeoutMs, onRequest } = options
    const limits = { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    const call = body ? { method: 'POST' as const, path, body } : { method: 'GET' as const, path }
    const answer = await transport.send({ ...call, ...limits })
    if (answer.status !== 200) throw fromStatus(answer)
    const requestId = checkedId(answer.requestId ?? '')
    onRequest?.(requestId)
    return requestId
  }

  /**
   * Waits for the end of a request, at most `timeoutMs`. Asking is repeatable.
   * @throws SkyPilotError `timeout` while it goes on, `rejected`, `cancelled`, or `not-found` when the server has
   * forgotten it, which happens at each restart and says nothing about the work
   */
  async function get(requestId: string, options: CallOptions = {}): Promise<RequestPayload> {
    const path = `/api/get?request_id=${checkedId(requestId)}`
    const { signal, timeoutMs } = options
    const answer = await transport.send({ method: 'GET', path, timeoutMs: timeoutMs ?? null, signal })
    if (answer.status === 404)
      throw new SkyPilotError('not-found', `the server does not know request ${requestId}`)
    if (answer.status === 500) throw fromFailure(answer)
    if (answer.status !== 200) throw ofTheWay(fromStatus(answer))
    const payload = parse(RequestPayload, answer.text)
    if (payload.status === 'CANCELLED')
      throw new SkyPilotError('cancelled', `request ${requestId} was cancelled on the server`)
    if (payload.status === 'FAILED') throw remoteError(payload)
    // A status of a newer server: whatever it means, it does not say that the work is done.
    if (payload.status !== 'SUCCEEDED')
      throw new SkyPilotError('protocol', `request ${requestId} came back as ${payload.status.slice(0, 80)}`)
    return payload
  }

  async function cancelled(selection: Record<string, unknown>, options: CallOptions): Promise<string[]> {
    const requestId = await submit({ path: '/api/cancel', body: selection }, options)
    const payload = await get(requestId, { ...options, timeoutMs: options.timeoutMs ?? RESULT_MS })
    return parse(z.array(z.string()).nullable(), payload.return_value ?? 'null') ?? []
  }

  return {
    submit,
    get,
    list: (query: RequestQuery = {}) => list(transport, query),

    /** Cancels requests by id and names those that were still active. Never undoes what they have done so far. */
    cancel: async (requestIds: readonly string[], options: CallOptions = {}): Promise<string[]> => {
      if (requestIds.length === 0)
        throw new RangeError('no request ids: an empty list would cancel everything')
      return cancelled({ request_ids: requestIds.map(checkedId) }, options)
    },

    /** Cancels every active request of our user, or of everybody, and names them. */
    cancelAll: ({ allUsers, ...options }: { allUsers?: boolean } & CallOptions = {}): Promise<string[]> =>
      cancelled({ request_ids: null, user_id: allUsers ? null : transport.user.id }, options),
  }
}

/**
 * SkyPilot tells with 500 that the work failed. Any other refusal is of the question, by something on the way such as a
 * gateway, and says nothing about the work.
 */
const ofTheWay = (error: SkyPilotError): SkyPilotError =>
  error.kind === 'rejected' ? new SkyPilotError('protocol', error.message, { cause: error }) : error

/** Requests in the table, newest first; without `allStatus` only those that are not finished. */
async function list(transport: Transport, query: RequestQuery): Promise<ListedRequest[]> {
  const { requestIds, allStatus, clusterName, limit, fields, ...call } = query
  const search = new URLSearchParams({ all_status: String(allStatus ?? false) })
  if (clusterName) search.set('cluster_name', clusterName)
  if (limit !== undefined) search.set('limit', String(limit))
  for (const id of requestIds ?? []) search.append('request_ids', id)
  for (const field of fields ?? []) search.append('fields', field)
  const answer = await transport.send({ method: 'GET', path: `/api/status?${search}`, ...call })
  if (answer.status !== 200) throw fromStatus(answer)
  const { read, unreadable } = rows(RequestPayload, parse(z.array(z.unknown()), answer.text))
  if (unreadable > 0) throw new SkyPilotError('protocol', `${unreadable} requests could not be read`)
  return read.map((request) => ({
    requestId: request.request_id,
    name: request.name,
    status: request.status,
    statusMessage: request.status_msg ?? null,
    clusterName: request.cluster_name ?? null,
    userName: request.user_name ?? null,
    createdAtMs: milliseconds(request.created_at),
    finishedAtMs: milliseconds(request.finished_at),
    body: tryJson(request.request_body),
  }))
}

/** @throws SkyPilotError `protocol` for anything but an id as SkyPilot makes them */
export function checkedId(requestId: string): string {
  if (!REQUEST_ID.test(requestId))
    throw new SkyPilotError('protocol', `not a request id: ${JSON.stringify(requestId.slice(0, 80))}`)
  return requestId
}
