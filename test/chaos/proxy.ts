import { once } from 'node:events'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * How a link behaves.
 * - `pass`: as if it were not there
 * - `drop`: nothing gets through; what was sent meanwhile arrives when it heals, however late
 * - `half-open`: connections are taken and never answered, and what is open now is lost for good
 * - `delay`: every piece is late
 * - `reset`: what is open breaks, and new connections break at once
 */
export type LinkMode = 'pass' | 'drop' | 'half-open' | 'delay' | 'reset'

const DELAY_MS = 1_000

/** A lost connection is found out by the first byte that is sent, or by the keep-alive of the system: so soon. */
const FOUND_OUT_MS = 30_000

interface Connection {
  client: Socket
  upstream: Socket | undefined
  isLost: boolean
}

/** A stretch of network between two processes of this machine, which can be told to misbehave. */
export class Proxy {
  readonly port: number
  readonly #server: Server
  readonly #target: number
  readonly #connections = new Set<Connection>()
  #mode: LinkMode = 'pass'
  #opening = Promise.withResolvers<void>()

  private constructor(server: Server, port: number, target: number) {
    this.#server = server
    this.port = port
    this.#target = target
    this.#opening.resolve()
    server.on('connection', (client) => void this.#connect(client))
  }

  /** Listens on a free port of the loopback, for a target port of the same. */
  static async listen(target: number): Promise<Proxy> {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return new Proxy(server, address.port, target)
  }

  get mode(): LinkMode {
    return this.#mode
  }

  set(mode: LinkMode): void {
    const wasShut = isShut(this.#mode)
    this.#mode = mode
    if (isShut(mode) && !wasShut) this.#opening = Promise.withResolvers()
    if (mode === 'half-open') for (const each of this.#connections) this.#lose(each)
    if (mode === 'reset') for (const each of this.#connections) breakOff(each)
    if (!isShut(mode)) this.#opening.resolve()
  }

  async close(): Promise<void> {
    this.set('reset')
    const closed = once(this.#server, 'close')
    this.#server.close()
    await closed
  }

  async #connect(client: Socket): Promise<void> {
    const connection: Connection = { client, upstream: undefined, isLost: this.#mode === 'half-open' }
    this.#connections.add(connection)
    client.setNoDelay(true)
    client.on('error', () => client.destroy())
    client.once('close', () => this.#connections.delete(connection))
    if (this.#mode === 'reset') return breakOff(connection)
    if (connection.isLost) this.#lose(connection)
    await this.#opening.promise
    if (connection.isLost || client.destroyed) return this.#listenToLost(connection)
    const upstream = createConnection({ port: this.#target, host: '127.0.0.1', noDelay: true })
    connection.upstream = upstream
    upstream.on('error', () => breakOff(connection))
    this.#pipe(connection, client, upstream)
    this.#pipe(connection, upstream, client)
  }

  #lose(connection: Connection): void {
    connection.isLost = true
    void sleep(FOUND_OUT_MS, undefined, { ref: false }).then(() => breakOff(connection))
  }

  /** Nobody at the other end knows this connection: the first byte is answered by breaking it. */
  #listenToLost(connection: Connection): void {
    connection.client.once('data', () => breakOff(connection))
  }

  #pipe(connection: Connection, from: Socket, to: Socket): void {
    let passing: Promise<void> = Promise.resolve()
    from.on('data', (piece: Buffer) => {
      from.pause()
      passing = this.#pass(connection, from, to, piece).finally(() => from.resume())
    })
    from.once('end', () => void passing.then(() => to.end()))
    // What was sent before the sender went away still arrives.
    from.once('close', () => void passing.then(() => to.destroySoon()))
  }

  async #pass(connection: Connection, from: Socket, to: Socket, piece: Buffer): Promise<void> {
    await this.#opening.promise
    if (connection.isLost) {
      // Towards the client nothing comes any more, not even the end.
      if (from === connection.client) breakOff(connection)
      return
    }
    if (this.#mode === 'delay') await sleep(DELAY_MS)
    if (to.destroyed || to.write(piece)) return
    await Promise.race([once(to, 'drain'), once(to, 'close')]).catch(() => undefined)
  }
}

const isShut = (mode: LinkMode): boolean => mode === 'drop' || mode === 'half-open'

function breakOff({ client, upstream }: Connection): void {
  client.resetAndDestroy()
  upstream?.destroy()
}
