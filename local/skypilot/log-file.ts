import { open } from 'node:fs/promises'
import { StringDecoder } from 'node:string_decoder'

const CHUNK_BYTES = 64 * 1024

/** A line longer than this is handed on in pieces: its end may never come. */
const LINE_CHARS_MAX = 64 * 1024

/** Reads a growing file from where it stopped the last time, in pieces: it may be far larger than our memory. */
export class LogFile {
  readonly #path: string
  readonly #decoder = new StringDecoder('utf8')
  #offset = 0
  #rest = ''

  constructor(path: string) {
    this.#path = path
  }

  /** Goes to the last `count` lines, found by reading backwards. */
  async toLast(count: number): Promise<void> {
    const file = await open(this.#path, 'r').catch(() => undefined)
    if (!file) return
    try {
      const buffer = Buffer.alloc(CHUNK_BYTES)
      let { size: end } = await file.stat()
      // The newline that ends the last line belongs to it; a last line without one counts as well.
      let newlines = -1
      for (let isLast = true; end > 0; isLast = false) {
        const start = Math.max(0, end - CHUNK_BYTES)
        const { bytesRead } = await file.read(buffer, 0, end - start, start)
        if (isLast && buffer[bytesRead - 1] !== 10) newlines = 0
        for (let at = bytesRead - 1; at >= 0; at -= 1) {
          if (buffer[at] === 10) newlines += 1
          if (newlines < count) continue
          this.#offset = start + at + 1
          return
        }
        end = start
      }
    } finally {
      await file.close()
    }
  }

  /** What was added since the last time, as arrays of whole lines. With `isLast` also a line without an end. */
  async *added(isLast: boolean): AsyncIterable<string[]> {
    const file = await open(this.#path, 'r').catch(() => undefined)
    if (!file) return
    try {
      const buffer = Buffer.alloc(CHUNK_BYTES)
      for (;;) {
        const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, this.#offset)
        if (bytesRead === 0) break
        this.#offset += bytesRead
        const lines = (this.#rest + this.#decoder.write(buffer.subarray(0, bytesRead))).split('\n')
        this.#rest = lines.pop() ?? ''
        if (this.#rest.length > LINE_CHARS_MAX) lines.push(this.#takeRest())
        if (lines.length > 0) yield lines
      }
    } finally {
      await file.close()
    }
    if (isLast && this.#rest !== '') yield [this.#takeRest()]
  }

  #takeRest(): string {
    const rest = this.#rest
    this.#rest = ''
    return rest
  }
}
