import { z } from 'zod'
import { SkyPilotError } from './errors.ts'
import { FailedRequest, RemoteError, type RequestPayload } from './schemas.ts'
import type { Answer } from './transport.ts'

/** Parses JSON and its shape, or says which part of it is wrong. */
export function parse<T>(schema: z.ZodType<T>, text: string): T {
  const result = schema.safeParse(tryJson(text))
  if (result.success) return result.data
  const [issue] = result.error.issues
  const where = issue && issue.path.length > 0 ? ` at ${issue.path.join('.')}` : ''
  throw new SkyPilotError('protocol', `unexpected answer${where}: ${issue?.message ?? 'not JSON'}`)
}

export function tryJson(text: string | null | undefined): unknown {
  if (text == null) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}

/** A request that failed on the server, or a server that fails itself. */
export function fromFailure(answer: Answer): SkyPilotError {
  const failed = FailedRequest.safeParse(tryJson(answer.text))
  if (failed.success) return remoteError(failed.data.detail)
  return new SkyPilotError('unreachable', `the server failed: ${clip(answer.text)}`)
}

/** These say that the server lost the work, not that it refused it. */
const INTERRUPTIONS = new Set(['RequestInterruptedError', 'BrokenProcessPool', 'NetworkError'])

export function remoteError(payload: RequestPayload): SkyPilotError {
  const error = RemoteError.safeParse(tryJson(payload.error))
  if (!error.success) return new SkyPilotError('rejected', `request ${payload.request_id} failed`)
  const { type, message } = error.data
  if (type === 'RequestCancelled') return new SkyPilotError('cancelled', stripAnsi(message))
  const kind = INTERRUPTIONS.has(type) ? 'unreachable' : 'rejected'
  return new SkyPilotError(kind, `${type}: ${clip(stripAnsi(message))}`, { exceptionName: type })
}

/** What a refusal may hold: an exception of SkyPilot's, or the fields of our body that are wrong. */
const Refusal = z.object({ detail: RemoteError })
const Problems = z.object({ detail: z.array(z.object({ loc: z.array(z.unknown()), msg: z.string() })) })

/** A refusal of the call itself. The text of a 422 repeats our whole body, secrets and all, so only its reasons are taken. */
export function fromStatus(answer: Answer): SkyPilotError {
  const { status, text } = answer
  if (status >= 500) return new SkyPilotError('unreachable', `the server failed (HTTP ${status})`)
  const json = tryJson(text)
  const refusal = Refusal.safeParse(json)
  if (refusal.success) {
    const { type, message } = refusal.data.detail
    return new SkyPilotError('rejected', `${type}: ${clip(stripAnsi(message))}`, { exceptionName: type })
  }
  const problems = Problems.safeParse(json)
  const said = problems.success
    ? problems.data.detail.map(({ loc, msg }) => `${loc.join('.')}: ${msg}`).join('; ')
    : clip(text)
  return new SkyPilotError('rejected', `the server refused the call (HTTP ${status}): ${said}`)
}

// eslint-disable-next-line no-control-regex
export const stripAnsi = (text: string): string => text.replaceAll(/\u001b\[[0-9;]*[A-Za-z]/g, '')

const clip = (text: string): string => text.trim().slice(0, 2_000)
