import { z } from 'zod'
import { stripAnsi, tryJson } from './answers.ts'
import { ProtocolError, SkyPilotError } from './errors.ts'
import { clientTooOld, type ServerVersion } from './versions.ts'

const SAID_CHARS_MAX = 600
const SAID_BYTES_MAX = 64 * 1024
/** A refusal may repeat all that was sent. */
const REFUSAL_BYTES_MAX = 32 * 1024 * 1024

/**
 * Sorts out what no endpoint means as an answer: redirects, login pages, refusals by what stands in front.
 * @throws SkyPilotError `unauthorized`, `unreachable` or `protocol`
 */
export async function checked(response: Response, server: ServerVersion | null): Promise<Response> {
  const { status } = response
  // Followed, a redirect could carry our credentials to another host; SkyPilot itself sends none.
  if (status >= 300 && status < 400)
    throw await refused(response, 'unauthorized', `the server redirects (${status}), as to a login page`)
  if (status === 401 || status === 403) throw await refused(response, 'unauthorized', 'not authorised')
  if (status === 429 || (status > 500 && status < 600))
    throw await refused(response, 'unreachable', `the server is busy or away (HTTP ${status})`)
  if (status === 200 && isHtml(response)) throw await refused(response, 'unauthorized', LOGIN_PAGE)
  return status === 400 ? notTooOld(response, server) : response
}

const LOGIN_PAGE = 'a web page came back where data was expected: a login page?'

const isHtml = (response: Response): boolean =>
  (response.headers.get('content-type') ?? '').includes('text/html')

async function notTooOld(response: Response, server: ServerVersion | null): Promise<Response> {
  const text = await readCapped(response, REFUSAL_BYTES_MAX)
  const said = mismatchIn(text)
  if (said !== null) throw clientTooOld(server, said)
  return new Response(text, { status: response.status, headers: response.headers })
}

const Mismatch = z.object({ error: z.literal('version_mismatch'), message: z.string() })

function mismatchIn(text: string): string | null {
  const mismatch = Mismatch.safeParse(tryJson(text))
  return mismatch.success ? stripAnsi(mismatch.data.message).slice(0, SAID_CHARS_MAX) : null
}

async function refused(
  response: Response,
  kind: 'unauthorized' | 'unreachable',
  message: string,
): Promise<SkyPilotError> {
  const retryAfterMs = retryAfterOf(response.headers)
  const options = retryAfterMs === null ? {} : { retryAfterMs }
  if (isHtml(response)) {
    await response.body?.cancel()
    return new SkyPilotError(kind, message, options)
  }
  const said = (await readCapped(response, SAID_BYTES_MAX).catch(() => '')).slice(0, SAID_CHARS_MAX)
  return new SkyPilotError(kind, said ? `${message}: ${said}` : message, options)
}

/** Retry-After holds seconds or a date. */
function retryAfterOf(headers: Headers): number | null {
  const value = headers.get('retry-after')
  if (value === null) return null
  const ms = /^\d+$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return Number.isNaN(ms) ? null : Math.max(0, ms)
}

/**
 * Reads a body, but no more of it than the cap: a server gone mad must not take our memory.
 * @throws SkyPilotError `protocol` for a longer one
 */
export async function readCapped(response: Response, bytesMax: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  const body: AsyncIterable<Uint8Array> | null = response.body
  if (!body) return ''
  for await (const chunk of body) {
    bytes += chunk.byteLength
    if (bytes > bytesMax) throw new ProtocolError(`the answer is longer than ${bytesMax} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** Some login pages do not say that they are HTML. Nothing that SkyPilot answers begins so. */
export function checkedText(status: number, text: string): string {
  if (status === 200 && /^\s*<(?:!doctype|html)/i.test(text))
    throw new SkyPilotError('unauthorized', LOGIN_PAGE)
  return text
}
