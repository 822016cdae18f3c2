import { NotFoundError, SkyPilotError, UnreachableError } from './errors.ts'
import { checked, checkedText, readCapped } from './responses.ts'
import { isRead, withRetries } from './retries.ts'
import {
  checkFeature,
  type Feature,
  type ServerVersion,
  VERSION_HEADERS,
  versionIn,
  versionOf,
} from './versions.ts'

/** The oldest server whose filters of the managed queue can be trusted. */
export const SERVER_VERSION_MIN = 54

const BYTES_HEADERS = { 'Content-Type': 'application/octet-stream' }
const BODY_BYTES_MAX = 32 * 1024 * 1024
const TIMEOUT_MS = 30_000

export interface TransportOptions {
  /** The address; a name and a password in it become Basic authentication and are never shown again. */
  endpoint: string
  /** Who we are towards a server without authentication. The id is a hash in SkyPilot's own client; any word will do. */
  user?: { id: string; name: string }
  /** A service-account token (`sky_...`). */
  token?: string
  /** The `Cookie` header for an address, null for none. Not asked where there is a token. */
  cookies?: (url: URL) => string | null
  fetch?: typeof fetch
  timeoutMs?: number
  /** The longest answer that is read, logs not counted. 32 MiB unless said otherwise. */
  bodyBytesMax?: number
  /**
   * For how long a call that only asks is repeated while the server cannot be reached. 0 unless said otherwise: never.
   * Whatever changes something is never repeated.
   */
  retryBudgetMs?: number
}

export interface Call {
  method: 'GET' | 'POST'
  path: string
  body?: Record<string, unknown>
  /** Bytes to send as they are, in place of a body of JSON. */
  bytes?: Uint8Array<ArrayBuffer>
  signal?: AbortSignal | undefined
  /** Null: as long as it takes. */
  timeoutMs?: number | null
}

export interface Answer {
  status: number
  requestId: string | null
  text: string
}

export interface OpenLog {
  body: ReadableStream<Uint8Array>
  requestId: string | null
}

export type Transport = ReturnType<typeof createTransport>

/** Speaks HTTP with one SkyPilot API server: headers, identity, limits, and errors that name their kind. */
export function createTransport(options: TransportOptions) {
  const identity = options.user ?? { id: 'skypilot-sdk', name: 'skypilot-sdk' }
  const { base, basic } = addressOf(options.endpoint)
  const { open, server } = createOpener({ options, base, basic, identity })

  /** From the server's words, where its headers do not say. */
  let known: ServerVersion | null = null

  async function once(call: Call): Promise<Answer> {
    const response = await patiently(call, open)
    const requestId = response.headers.get('x-skypilot-request-id')
    try {
      const text = await readCapped(response, options.bodyBytesMax ?? BODY_BYTES_MAX)
      return { status: response.status, requestId, text: checkedText(response.status, text) }
    } catch (error) {
      throw fromFetch(error, base, call.signal)
    }
  }

  /** Sends a call and reads the whole answer, which must be no error of the transport. */
  function send(call: Call): Promise<Answer> {
    const budgetMs = isRead(call.method, call.path) ? (options.retryBudgetMs ?? 0) : 0
    return withRetries(() => once(call), { budgetMs, signal: call.signal })
  }

  return {
    endpoint: base,
    /** Who we are towards a server without authentication. */
    user: identity,
    send,

    /**
     * Opens a log and hands out its bytes as they come, however long that takes, with the id of the request that
     * reads it. @throws SkyPilotError `rejected` when the server has none to show, `not-found` for an unknown request
     */
    async openLog(call: Omit<Call, 'timeoutMs'>): Promise<OpenLog> {
      const response = await open({ ...call, timeoutMs: null })
      const requestId = response.headers.get('x-skypilot-request-id')
      if (response.status === 200 && response.body)
        return { body: guarded(response.body, (error) => fromFetch(error, base, call.signal)), requestId }
      await response.body?.cancel()
      throw logRefused(call.path, response.status)
    },

    /**
     * Sees to it that the server knows a feature: by the version in its last answer, or else by asking for one.
     * @throws SkyPilotError `protocol` for a server that is too old
     */
    async requires(feature: Feature, call: Pick<Call, 'signal' | 'timeoutMs'> = {}): Promise<void> {
      // What stands in front of a server may drop its headers.
      const asked = async (): Promise<ServerVersion | null> => {
        const { signal, timeoutMs } = call
        const limits = { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
        const { text } = await send({ method: 'GET', path: '/api/health', ...limits })
        return server() ?? versionIn(text)
      }
      known = server() ?? known ?? (await asked())
      checkFeature(feature, known)
    },
  }
}

interface Opener {
  options: TransportOptions
  base: string
  basic: string | null
  identity: { id: string; name: string }
}

/** Sends a call and waits for the beginning of its answer; remembers which server answered. */
function createOpener({ options, base, basic, identity }: Opener) {
  const http = options.fetch ?? fetch
  let server: ServerVersion | null = null

  async function open(call: Call): Promise<Response> {
    const timeoutMs = call.timeoutMs === undefined ? (options.timeoutMs ?? TIMEOUT_MS) : call.timeoutMs
    const signals = [call.signal, timeoutMs === null ? undefined : AbortSignal.timeout(timeoutMs)]
    try {
      const response = await http(base + call.path, {
        method: call.method,
        redirect: 'manual',
        signal: AbortSignal.any(signals.filter((signal) => signal !== undefined)),
        headers: {
          ...VERSION_HEADERS,
          ...(call.body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(call.bytes ? BYTES_HEADERS : {}),
          ...credentials(options, basic, new URL(base + call.path)),
        },
        ...(call.body === undefined ? {} : { body: JSON.stringify({ ...envelope(identity), ...call.body }) }),
        ...(call.bytes === undefined ? {} : { body: call.bytes }),
      })
      server = versionOf(response.headers) ?? server
      return await checked(response, server)
    } catch (error) {
      throw fromFetch(error, base, call.signal)
    }
  }
  return { open, server: () => server }
}

/** Opens a call that may take any time. Node gives up after minutes without headers; a question is then asked again. */
async function patiently(call: Call, open: (call: Call) => Promise<Response>): Promise<Response> {
  for (;;)
    try {
      return await open(call)
    } catch (error) {
      const isQuestion = call.timeoutMs === null && isRead(call.method, call.path)
      if (!isQuestion || !(error instanceof SkyPilotError) || codeOf(error.cause) !== HEADERS_TIMEOUT)
        throw error
    }
}

const HEADERS_TIMEOUT = 'UND_ERR_HEADERS_TIMEOUT'

function codeOf(error: unknown): unknown {
  const cause = error instanceof Error ? error.cause : undefined
  return cause instanceof Error && 'code' in cause ? cause.code : undefined
}

/** A log that breaks off says so as an error of ours. */
function guarded(
  body: ReadableStream<Uint8Array>,
  translated: (error: unknown) => unknown,
): ReadableStream<Uint8Array> {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read()
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (error) {
          controller.error(translated(error))
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
}

function logRefused(path: string, status: number): SkyPilotError {
  const message = `the server refused the log (HTTP ${status})`
  if (status === 404 && path.startsWith('/api/')) return new NotFoundError(message)
  return status >= 500 ? new UnreachableError(message) : new SkyPilotError('rejected', message)
}

function addressOf(endpoint: string): { base: string; basic: string | null } {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw new SkyPilotError(
      'protocol',
      `not an http address of a SkyPilot API server: ${endpoint.replace(/\/\/.*@/, '//')}`,
    )
  const base = url.origin + url.pathname.replace(/\/+$/, '')
  if (!url.username && !url.password) return { base, basic: null }
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return { base, basic: Buffer.from(pair).toString('base64') }
}

/** As SkyPilot's own client sends them: a name and password in the address win over a token, a token over cookies. */
function credentials(
  { token, cookies }: TransportOptions,
  basic: string | null,
  url: URL,
): Record<string, string> {
  const authorization = basic === null ? token && `Bearer ${token}` : `Basic ${basic}`
  const cookie = token ? null : cookies?.(url)
  return {
    ...(authorization ? { Authorization: authorization } : {}),
    ...(cookie ? { Cookie: cookie } : {}),
  }
}

const envelope = (user: { id: string; name: string }) => ({
  env_vars: { SKYPILOT_USER_ID: user.id, SKYPILOT_USER: user.name },
  entrypoint: '',
  entrypoint_command: '',
  using_remote_api_server: true,
  override_skypilot_config: {},
})

function fromFetch(error: unknown, base: string, signal: AbortSignal | undefined): unknown {
  if (error instanceof SkyPilotError) return error
  // The caller gave up: that is its own business, not an error of the server.
  if (signal?.aborted) return signal.reason
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new SkyPilotError('timeout', `${base} did not answer in time`, { cause: error })
  return new UnreachableError(`${base} cannot be reached: ${causeOf(error)}`, { cause: error })
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message || error.message : error.message
}
