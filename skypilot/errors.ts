/**
 * What a caller can act on:
 * - `unreachable`: no answer, or the server says that it is busy or broken (5xx, 429); asking later may help
 * - `unauthorized`: the server, or a login page in front of it, wants other credentials
 * - `rejected`: the server understood and refused; `exceptionName` is SkyPilot's own
 * - `cancelled`: the request was cancelled on the server
 * - `not-found`: the server does not know the request, which proves nothing about its effect
 * - `timeout`: our own patience ended, the request goes on
 * - `protocol`: the answer is none that we understand, or the versions do not fit
 * - `invalid`: what the caller gave cannot be sent; nothing was
 */
export type SkyPilotErrorKind =
  | 'unreachable'
  | 'unauthorized'
  | 'rejected'
  | 'cancelled'
  | 'not-found'
  | 'timeout'
  | 'protocol'
  | 'invalid'

export interface SkyPilotErrorOptions {
  cause?: unknown
  exceptionName?: string
  /** How long the server asked us to wait. */
  retryAfterMs?: number
}

/** A server gone mad may say anything; what it says travels on into logs, histories and pages. */
const MESSAGE_CHARS_MAX = 2_500
const NAME_CHARS_MAX = 200

/** Anything that goes wrong between a caller and a SkyPilot API server. */
export class SkyPilotError extends Error {
  override readonly name = 'SkyPilotError'
  readonly kind: SkyPilotErrorKind
  /** Name of SkyPilot's exception, such as `ResourcesUnavailableError`, where it named one. */
  readonly exceptionName: string | null
  /** How long the server asked us to wait before we ask again; null where it did not say. */
  readonly retryAfterMs: number | null

  constructor(kind: SkyPilotErrorKind, message: string, options: SkyPilotErrorOptions = {}) {
    super(message.slice(0, MESSAGE_CHARS_MAX), { cause: options.cause })
    this.kind = kind
    this.exceptionName = options.exceptionName?.slice(0, NAME_CHARS_MAX) ?? null
    this.retryAfterMs = options.retryAfterMs ?? null
  }
}

const isOf = (kind: SkyPilotErrorKind, error: unknown): boolean =>
  error instanceof SkyPilotError && error.kind === kind

// The classes below are for `catch (error) { if (error instanceof RejectedError) ... }`. What makes an error one of them
// is its kind, however it was made, so that `kind` and class can never disagree.

/** No answer, or one that says "later". Whether a call had an effect is open. */
export class UnreachableError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is UnreachableError {
    return isOf('unreachable', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('unreachable', message, options)
  }
}

/** Other credentials are wanted. */
export class UnauthorizedError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is UnauthorizedError {
    return isOf('unauthorized', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('unauthorized', message, options)
  }
}

/** The server understood and refused, or the work failed; `exceptionName` says with which of SkyPilot's exceptions. */
export class RejectedError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is RejectedError {
    return isOf('rejected', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('rejected', message, options)
  }
}

/** The request was cancelled on the server. What it had done stays done. */
export class CancelledError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is CancelledError {
    return isOf('cancelled', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('cancelled', message, options)
  }
}

/** The server does not know it, for instance because it was restarted. */
export class NotFoundError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is NotFoundError {
    return isOf('not-found', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('not-found', message, options)
  }
}

/** Our own patience ended; the work on the server goes on. */
export class TimedOutError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is TimedOutError {
    return isOf('timeout', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('timeout', message, options)
  }
}

/** An answer that we do not understand, or versions that do not fit: one side has to be upgraded. */
export class ProtocolError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is ProtocolError {
    return isOf('protocol', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('protocol', message, options)
  }
}

/** A task, resources or argument that cannot be sent. The message begins with the name of the field. */
export class InvalidError extends SkyPilotError {
  static override [Symbol.hasInstance](error: unknown): error is InvalidError {
    return isOf('invalid', error)
  }
  constructor(message: string, options?: SkyPilotErrorOptions) {
    super('invalid', message, options)
  }
}
