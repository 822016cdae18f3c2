/** SkyDeck refused, or could not be asked. `status` is 0 when there was no answer at all. */
export class SkyDeckError extends Error {
  override readonly name = 'SkyDeckError'
  readonly status: number
  readonly requestId: string | null

  constructor(status: number, message: string, requestId: string | null = null, cause?: unknown) {
    super(message, { cause })
    this.status = status
    this.requestId = requestId
  }
}

export interface Http {
  /**
   * Sends JSON and reads JSON, whose shape `T` is the server's promise (its answers pass its own schema).
   * @throws SkyDeckError with the server's own words
   */
  json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T>
  /** Opens an answer as a stream of text. */
  text(path: string, signal?: AbortSignal): Promise<AsyncIterable<string>>
}

export function createHttp(baseUrl: string, actor: string | undefined): Http {
  const base = baseUrl.replace(/\/+$/, '')

  async function send(path: string, init: RequestInit): Promise<Response> {
    let response: Response
    try {
      response = await fetch(base + path, init)
    } catch (error) {
      if (init.signal?.aborted) throw error
      throw new SkyDeckError(
        0,
        `SkyDeck cannot be reached at ${base}. Is it started? (npm start)`,
        null,
        error,
      )
    }
    if (!response.ok) throw await refusal(response)
    return response
  }

  return {
    async json<T>(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<T> {
      const response = await send(path, {
        method,
        headers: {
          Accept: 'application/json',
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(actor ? { 'X-SkyDeck-Actor': actor } : {}),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal ? { signal } : {}),
      })
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- see above
      return (await response.json()) as T
    },
    async text(path, signal) {
      const response = await send(path, signal ? { signal } : {})
      return lines(response.body)
    },
  }
}

async function refusal(response: Response): Promise<SkyDeckError> {
  const text = await response.text()
  let detail = text.slice(0, 500)
  let requestId = response.headers.get('x-request-id')
  try {
    const problem = asRecord(JSON.parse(text))
    if (typeof problem['detail'] === 'string') detail = problem['detail']
    if (typeof problem['request_id'] === 'string') requestId = problem['request_id']
  } catch {
    // Not one of our problems: something stands in between, and its text is all there is.
  }
  return new SkyDeckError(response.status, detail || `HTTP ${response.status}`, requestId)
}

function asRecord(value: unknown): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  throw new SkyDeckError(0, 'the answer is not one of SkyDeck')
}

async function* lines(body: ReadableStream<Uint8Array> | null): AsyncIterable<string> {
  if (!body) return
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const pieces = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = pieces.pop() ?? ''
    yield* pieces
  }
  rest += decoder.decode()
  if (rest !== '') yield rest
}
