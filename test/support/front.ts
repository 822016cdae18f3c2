import { once } from 'node:events'
import {
  createServer,
  request as ask,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'

export interface Answered {
  status: number
  text: string
}

/** Stands before an HTTP server of this machine and may change what it answers. */
export class Front {
  readonly url: string
  /** Answers in place of the server, which then never hears of it; the path is with its query. */
  instead: (path: string) => Answered | undefined = () => undefined
  /** Changes an answer of the server. */
  rewrite: (path: string, answer: Answered) => Answered = (_path, answer) => answer
  readonly #server: Server
  readonly #target: string

  private constructor(server: Server, target: string) {
    const address = server.address()
    this.url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
    this.#server = server
    this.#target = target
    server.on('request', (given, response) => void this.#pass(given, response))
  }

  static async before(target: string): Promise<Front> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new Front(server, target)
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close')
    this.#server.close()
    this.#server.closeAllConnections()
    await closed
  }

  async #pass(given: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { method, headers, url: path = '/' } = given
      const own = this.instead(path)
      if (own) {
        given.resume()
        response.writeHead(own.status, { 'Content-Type': 'application/json' }).end(own.text)
        return
      }
      const forward = ask(this.#target + path, { method, headers })
      given.pipe(forward)
      const [answer] = (await once(forward, 'response')) as [IncomingMessage]
      const chunks: Buffer[] = []
      for await (const chunk of answer) if (Buffer.isBuffer(chunk)) chunks.push(chunk)
      const { status, text } = this.rewrite(path, {
        status: answer.statusCode ?? 502,
        text: Buffer.concat(chunks).toString('utf8'),
      })
      const { 'content-length': _length, 'transfer-encoding': _encoding, ...others } = answer.headers
      response.writeHead(status, others).end(text)
    } catch {
      // Whoever asked went away, or the server did: the other end learns it the same way.
      response.destroy()
    }
  }
}
