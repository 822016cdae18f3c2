import { stripAnsi } from './requests.ts'

const PAYLOAD = /^<sky-payload.*<\/sky-payload>$/
const LINE_CHARS_MAX = 64 * 1024

/** Turns a log stream into lines: control payloads and colours are dropped, endless lines are cut into pieces. */
export async function* logLines(body: ReadableStream<Uint8Array>): AsyncIterable<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/)
    rest = lines.pop() ?? ''
    yield* lines.filter((line) => !PAYLOAD.test(line)).map(stripAnsi)
    if (rest.length > LINE_CHARS_MAX) {
      yield stripAnsi(rest)
      rest = ''
    }
  }
  rest += decoder.decode()
  if (rest !== '' && !PAYLOAD.test(rest)) yield stripAnsi(rest)
}
