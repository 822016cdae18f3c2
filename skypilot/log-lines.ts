import { stripAnsi } from './answers.ts'
import { UnreachableError } from './errors.ts'

const PAYLOAD = /^<sky-payload.*<\/sky-payload>$/
/** The server is about to end, and says so in the log. */
const RETRY = /^<sky-payload[^>]*>"<retry>/
const LINE_CHARS_MAX = 64 * 1024

/** A server that restarts is away for some seconds at most this often in one log. */
const REOPENINGS_MAX = 20

/**
 * Turns a log stream into lines: control payloads and colours are dropped, endless lines are cut into pieces. Holds no
 * more of the log than a line, however long it is.
 *
 * A server that shuts down says so; then the log is opened again with `reopen`, and the lines that were already given
 * are passed over.
 * @throws SkyPilotError `unreachable` when the log breaks off, or the server shuts down and there is no `reopen`
 */
export async function* logLines(
  body: ReadableStream<Uint8Array>,
  reopen?: () => Promise<ReadableStream<Uint8Array>>,
): AsyncGenerator<string, void> {
  let given = 0
  let current = body
  for (let reopenings = 0; ; reopenings += 1) {
    const end = yield* linesFrom(current, given)
    if (!end.isRestart) return
    if (!reopen || reopenings === REOPENINGS_MAX)
      throw new UnreachableError('the server is shutting down: open the log again')
    given = Math.max(given, end.lines)
    current = await reopen()
  }
}

/** The lines of one stream but for the first ones; says at last how many there were, and whether the server restarts. */
async function* linesFrom(
  body: ReadableStream<Uint8Array>,
  toPass: number,
): AsyncGenerator<string, { isRestart: boolean; lines: number }> {
  let lines = 0
  for await (const batch of batchesOf(body))
    for (const line of batch) {
      if (RETRY.test(line)) return { isRestart: true, lines }
      if (PAYLOAD.test(line)) continue
      lines += 1
      if (lines > toPass) yield stripAnsi(line)
    }
  return { isRestart: false, lines }
}

/** All lines of a chunk at once: a promise for each would be most of the work. */
async function* batchesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string[], void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/)
    rest = lines.pop() ?? ''
    if (rest.length > LINE_CHARS_MAX) {
      lines.push(rest)
      rest = ''
    }
    yield lines
  }
  rest += decoder.decode()
  if (rest !== '') yield [rest]
}
