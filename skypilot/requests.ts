import { z } from 'zod'
import { SkyPilotError } from './errors.ts'
import { FailedRequest, LaunchResult, RemoteError, RequestPayload, rows } from './schemas.ts'
import type { Answer, Transport } from './transport.ts'

/** SkyPilot makes its ids itself (uuid4). Anything else is not put into a URL. */
const REQUEST_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export interface ActiveRequest {
  requestId: string
  /** Such as `sky.jobs.launch`. */
  name: string
  status: string
  /** The body that was submitted, parsed; undefined where the server does not show it. */
  body: unknown
}

export interface CallOptions {
  signal?: AbortSignal
  timeoutMs?: number
}

export interface RequestQuery extends CallOptions {
  allStatus?: boolean
  clusterName?: string
  fields?: readonly string[]
}

export type Requests = ReturnType<typeof createRequests>

/** The server's table of requests: asking for results, listing, cancelling. */
export function createRequests(transport: Transport) {
  /** Queues a piece of work and returns its request id as soon as the server has taken it. */
  async function submit(
    path: string,
    body: Record<string, unknown>,
    options: CallOptions = {},
  ): Promise<string> {
    const answer = await transport.send({ method: 'POST', path, body, ...options })
    if (answer.status !== 200) throw fromStatus(answer)
    return checkedId(answer.requestId ?? '')
  }

  /**
   * Waits for the end of a request, at most `timeoutMs`. Asking is repeatable.
   * @throws SkyPilotError `timeout` while it goes on, `rejected`, `cancelled`, or `not-found` when the server has
   * forgotten it, which happens at each restart and says nothing about the work
   */
  async function get(requestId: string, options: CallOptions = {}): Promise<RequestPayload> {
    const path = `/api/get?request_id=${checkedId(requestId)}`
    const answer = await transport.send({ method: 'GET', path, timeoutMs: null, ...options })
    if (answer.status === 404)
      throw new SkyPilotError('not-found', `the server does not know request ${requestId}`)
    if (answer.status === 500) throw fromFailure(answer)
    if (answer.status !== 200) throw fromStatus(answer)
    const payload = parse(RequestPayload, answer.text)
    if (payload.status === 'CANCELLED')
      throw new SkyPilotError('cancelled', `request ${requestId} was cancelled on the server`)
    if (payload.status === 'FAILED') throw remoteError(payload)
    return payload
  }

  return {
    submit,
    get,

    /** Submits and waits: the parsed return value, checked by a schema. */
    async call<T>(
      path: string,
      body: Record<string, unknown>,
      schema: z.ZodType<T>,
      options: CallOptions = {},
    ): Promise<T> {
      const requestId = await submit(path, body, options)
      const payload = await get(requestId, { ...options, timeoutMs: options.timeoutMs ?? RESULT_MS })
      return parse(schema, payload.return_value ?? 'null')
    },

    launchedJobIds,
    list: (query: RequestQuery = {}) => list(transport, query),

    /** Cancels requests by id. Never undoes what they have done so far. */
    async cancel(requestIds: readonly string[], options: CallOptions = {}): Promise<void> {
      if (requestIds.length === 0)
        throw new RangeError('no request ids: an empty list would cancel everything')
      const body = { request_ids: requestIds.map(checkedId) }
      const requestId = await submit('/api/cancel', body, options)
      await get(requestId, { timeoutMs: RESULT_MS, ...options })
    },
  }
}

/** Ids of the managed jobs that a finished `jobs.launch` made; the server sends a list, a number or null. */
function launchedJobIds(payload: RequestPayload): number[] {
  const { job_id: ids } = parse(LaunchResult, payload.return_value ?? 'null')
  if (ids === null) return []
  return Array.isArray(ids) ? ids : [ids]
}

/** Requests in the table, newest first; without `allStatus` only those that are not finished. */
async function list(transport: Transport, query: RequestQuery): Promise<ActiveRequest[]> {
  const { allStatus, clusterName, fields, ...call } = query
  const search = new URLSearchParams({ all_status: String(allStatus ?? false) })
  if (clusterName) search.set('cluster_name', clusterName)
  for (const field of fields ?? []) search.append('fields', field)
  const answer = await transport.send({ method: 'GET', path: `/api/status?${search}`, ...call })
  if (answer.status !== 200) throw fromStatus(answer)
  const { read, unreadable } = rows(RequestPayload, parse(z.array(z.unknown()), answer.text))
  if (unreadable > 0) throw new SkyPilotError('protocol', `${unreadable} requests could not be read`)
  return read.map((request) => ({
    requestId: request.request_id,
    name: request.name,
    status: request.status,
    body: tryJson(request.request_body),
  }))
}

/** Results of quick requests come in seconds; a cold server takes longer for its first. */
const RESULT_MS = 60_000

function checkedId(requestId: string): string {
  if (!REQUEST_ID.test(requestId))
    throw new SkyPilotError('protocol', `not a request id: ${JSON.stringify(requestId.slice(0, 80))}`)
  return requestId
}

/** Parses JSON and its shape, or says which part of it is wrong. */
export function parse<T>(schema: z.ZodType<T>, text: string): T {
  const result = schema.safeParse(tryJson(text))
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue && issue.path.length > 0 ? ` at ${issue.path.join('.')}` : ''
  throw new SkyPilotError('protocol', `unexpected answer${where}: ${issue?.message ?? 'not JSON'}`)
}

function tryJson(text: string | null | undefined): unknown {
  if (text == null) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}

function fromFailure(answer: Answer): SkyPilotError {
  const failed = FailedRequest.safeParse(tryJson(answer.text))
  if (failed.success) return remoteError(failed.data.detail)
  return new SkyPilotError('unreachable', `the server failed: ${clip(answer.text)}`)
}

/** These say that the server lost the work, not that it refused it. */
const INTERRUPTIONS = new Set(['RequestInterruptedError', 'BrokenProcessPool', 'NetworkError'])

function remoteError(payload: RequestPayload): SkyPilotError {
  const error = RemoteError.safeParse(tryJson(payload.error))
  if (!error.success) return new SkyPilotError('rejected', `request ${payload.request_id} failed`)
  const { type, message } = error.data
  if (type === 'RequestCancelled') return new SkyPilotError('cancelled', stripAnsi(message))
  const kind = INTERRUPTIONS.has(type) ? 'unreachable' : 'rejected'
  return new SkyPilotError(kind, `${type}: ${clip(stripAnsi(message))}`, { exceptionName: type })
}

/** A refusal of the call itself. The text of a 422 repeats our whole body, secrets and all, so only its reasons are taken. */
function fromStatus(answer: Answer): SkyPilotError {
  const { status, text } = answer
  if (status >= 500) return new SkyPilotError('unreachable', `the server failed (HTTP ${status})`)
  const problems = z
    .object({ detail: z.array(z.object({ loc: z.array(z.unknown()), msg: z.string() })) })
    .safeParse(tryJson(text))
  const said = problems.success
    ? problems.data.detail.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; ')
    : clip(text)
  return new SkyPilotError('rejected', `the server refused the call (HTTP ${status}): ${said}`)
}

// eslint-disable-next-line no-control-regex
export const stripAnsi = (text: string): string => text.replaceAll(/\u001b\[[0-9;]*[A-Za-z]/g, '')

const clip = (text: string): string => text.trim().slice(0, 2_000)
