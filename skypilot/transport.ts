import { SkyPilotError } from './errors.ts'

/** The protocol version we speak, and the release it belongs to (skypilot 0.14.1). Both headers, or the server negotiates nothing. */
const VERSION_HEADERS = { 'X-SkyPilot-API-Version': '62', 'X-SkyPilot-Version': '0.14.1' }

/** The oldest server whose filters of the managed queue can be trusted. */
export const SERVER_VERSION_MIN = 54

const BODY_BYTES_MAX = 32 * 1024 * 1024
const TIMEOUT_MS = 30_000
const ERROR_CHARS_MAX = 600

export interface TransportOptions {
  endpoint: string
  /** Who we are towards a server without authentication. The id is a hash in SkyPilot's own client; any word will do. */
  user?: { id: string; name: string }
  /** A service-account token (`sky_...`). */
  token?: string
  fetch?: typeof fetch
  timeoutMs?: number
}

export interface Call {
  method: 'GET' | 'POST'
  path: string
  body?: Record<string, unknown>
  signal?: AbortSignal | undefined
  /** Null: as long as it takes. */
  timeoutMs?: number | null
}

export interface Answer {
  status: number
  requestId: string | null
  text: string
}

export type Transport = ReturnType<typeof createTransport>

/** Speaks HTTP with one SkyPilot API server: headers, identity, limits, and errors that name their kind. */
export function createTransport(options: TransportOptions) {
  const base = baseOf(options.endpoint)
  const http = options.fetch ?? fetch
  const identity = options.user ?? { id: 'skydeck', name: 'skydeck' }

  async function open(call: Call): Promise<Response> {
    const timeoutMs = call.timeoutMs === undefined ? (options.timeoutMs ?? TIMEOUT_MS) : call.timeoutMs
    const signals = [call.signal, timeoutMs === null ? undefined : AbortSignal.timeout(timeoutMs)]
    try {
      const response = await http(base + call.path, {
        method: call.method,
        redirect: 'manual',
        signal: AbortSignal.any(signals.filter((signal) => signal !== undefined)),
        headers: headersOf(options.token, call.body !== undefined),
        ...(call.body === undefined ? {} : { body: JSON.stringify({ ...envelope(identity), ...call.body }) }),
      })
      return await checked(response)
    } catch (error) {
      throw fromFetch(error, base, call.signal)
    }
  }

  return {
    endpoint: base,

    /**
     * Opens a log and hands out its bytes as they come, however long that takes.
     * @throws SkyPilotError `rejected` when the server has none to show
     */
    async openLog(call: Omit<Call, 'timeoutMs'>): Promise<ReadableStream<Uint8Array>> {
      const response = await open({ ...call, timeoutMs: null })
      if (response.status === 200 && response.body) return response.body
      await response.body?.cancel()
      throw new SkyPilotError('rejected', `the server refused the log (HTTP ${response.status})`)
    },

    /** Sends a call and reads the whole answer, which must be no error of the transport. */
    async send(call: Call): Promise<Answer> {
      const response = await open(call)
      try {
        const text = await readCapped(response)
        return { status: response.status, requestId: response.headers.get('x-skypilot-request-id'), text }
      } catch (error) {
        throw fromFetch(error, base, call.signal)
      }
    },
  }
}

function baseOf(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw new SkyPilotError('protocol', `not an http address of a SkyPilot API server: ${endpoint}`)
  return url.origin + url.pathname.replace(/\/+$/, '')
}

const headersOf = (token: string | undefined, hasBody: boolean): Record<string, string> => ({
  ...VERSION_HEADERS,
  ...(hasBody ? { 'Content-Type': 'application/json' } : {}),
  ...(token ? { Authorization: `Bearer ${token}` } : {}),
})

const envelope = (user: { id: string; name: string }) => ({
  env_vars: { SKYPILOT_USER_ID: user.id, SKYPILOT_USER: user.name },
  entrypoint: '',
  entrypoint_command: '',
  using_remote_api_server: true,
  override_skypilot_config: {},
})

/** Sorts out what no endpoint means as an answer: redirects, login pages, refusals by what stands in front. */
async function checked(response: Response): Promise<Response> {
  const { status } = response
  if (status >= 300 && status < 400)
    throw await refused(response, 'unauthorized', `the server redirects (${status}) to a login page`)
  if (status === 401 || status === 403) throw await refused(response, 'unauthorized', 'not authorised')
  if (status === 429 || (status > 500 && status < 600))
    throw await refused(response, 'unreachable', `the server is busy or away (HTTP ${status})`)
  const type = response.headers.get('content-type') ?? ''
  if (status === 200 && type.includes('text/html'))
    throw await refused(
      response,
      'unauthorized',
      'a web page came back where data was expected: a login page?',
    )
  return response
}

async function refused(
  response: Response,
  kind: 'unauthorized' | 'unreachable',
  message: string,
): Promise<SkyPilotError> {
  const isText = !(response.headers.get('content-type') ?? '').includes('text/html')
  const said = isText ? (await readCapped(response).catch(() => '')).slice(0, ERROR_CHARS_MAX) : ''
  if (!isText) await response.body?.cancel()
  return new SkyPilotError(kind, said ? `${message}: ${said}` : message)
}

/** Reads a body, but no more of it than the cap: a server gone mad must not take our memory. */
async function readCapped(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  const body: AsyncIterable<Uint8Array> | null = response.body
  if (!body) return ''
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > BODY_BYTES_MAX)
      throw new SkyPilotError('protocol', `the answer is longer than ${BODY_BYTES_MAX >> 20} MiB`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function fromFetch(error: unknown, base: string, signal: AbortSignal | undefined): unknown {
  if (error instanceof SkyPilotError) return error
  // The caller gave up: that is its own business, not an error of the server.
  if (signal?.aborted) return signal.reason
  if (error instanceof DOMException && error.name === 'TimeoutError')
    return new SkyPilotError('timeout', `${base} did not answer in time`, { cause: error })
  return new SkyPilotError('unreachable', `${base} cannot be reached: ${causeOf(error)}`, { cause: error })
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message || error.message : error.message
}
