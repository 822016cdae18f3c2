/**
 * What a caller can act on:
 * - `unreachable`: no answer, or the server says that it is busy or broken (5xx, 429); asking later may help
 * - `unauthorized`: the server, or a login page in front of it, wants other credentials
 * - `rejected`: the server understood and refused; `exceptionName` is SkyPilot's own
 * - `cancelled`: the request was cancelled on the server
 * - `not-found`: the server does not know the request, which proves nothing about its effect
 * - `timeout`: our own patience ended, the request goes on
 * - `protocol`: the answer is none that we understand
 */
export type SkyPilotErrorKind =
  | 'unreachable'
  | 'unauthorized'
  | 'rejected'
  | 'cancelled'
  | 'not-found'
  | 'timeout'
  | 'protocol'

export class SkyPilotError extends Error {
  override readonly name = 'SkyPilotError'
  readonly kind: SkyPilotErrorKind
  /** Name of SkyPilot's exception, such as `ResourcesUnavailableError`, where it named one. */
  readonly exceptionName: string | null

  constructor(
    kind: SkyPilotErrorKind,
    message: string,
    options: { cause?: unknown; exceptionName?: string } = {},
  ) {
    super(message, { cause: options.cause })
    this.kind = kind
    this.exceptionName = options.exceptionName ?? null
  }
}
