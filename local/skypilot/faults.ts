import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMiddleware } from 'hono/factory'
import { z } from 'zod'
import type { JobRow } from './state.ts'

/**
 * How the server can be told to misbehave, for tests.
 * - `drop-before`, `drop-after`: the connection breaks before or after the effect
 * - `delay`: the answer is late; `hold`: the request waits before its effect
 * - `status`: an error answer before the effect; `truncate`: half an answer; `login-page`: a web page with status 200
 * - `stale`: queues answer as they did when the fault was set
 */
export const Fault = z.strictObject({
  /** The path must begin with this. */
  match: z.string().default('/'),
  kind: z.enum(['drop-before', 'drop-after', 'delay', 'hold', 'status', 'truncate', 'login-page', 'stale']),
  status: z.int().min(400).max(599).default(500),
  delayMs: z.int().min(0).max(600_000).default(1_000),
  /** So often, then never again; without it for ever. */
  times: z.int().min(1).optional(),
})
export type Fault = z.infer<typeof Fault>

export class Faults {
  #all: Array<Fault & { left: number }> = []
  /** What queues show while they are stale. */
  staleJobs: readonly JobRow[] = []

  /** Replaces all faults. `jobs` is how things stand now, for queues that go stale. */
  set(faults: readonly Fault[], jobs: readonly JobRow[]): void {
    this.staleJobs = jobs
    this.#all = faults.map((fault) => ({ ...fault, left: fault.times ?? Number.POSITIVE_INFINITY }))
  }

  list(): Fault[] {
    return this.#all.filter(({ left }) => left > 0).map(({ left: _left, ...fault }) => fault)
  }

  /** Takes the next fault of one of these kinds for a path, and counts it. */
  take(path: string, kinds: ReadonlyArray<Fault['kind']>): Fault | undefined {
    const fault = this.#all.find(
      ({ match, kind, left }) => left > 0 && kinds.includes(kind) && path.startsWith(match),
    )
    if (fault) fault.left -= 1
    return fault
  }
}

type Env = { Bindings: { incoming: IncomingMessage } }

/** Applies the faults of the wire. Those of the effect are asked for where the effect is. */
export const misbehave = (faults: Faults) =>
  createMiddleware<Env>(async (c, next) => {
    const { path } = c.req
    if (path.startsWith('/local/')) return next()
    if (faults.take(path, ['drop-before'])) return hangUp(c.env.incoming)
    if (faults.take(path, ['login-page'])) return c.html('<html><body>Sign in</body></html>')
    const refusal = faults.take(path, ['status'])
    if (refusal) return new Response('Internal Server Error', { status: refusal.status })
    await next()
    const late = faults.take(path, ['drop-after', 'delay', 'truncate'])
    if (late?.kind === 'drop-after') return hangUp(c.env.incoming)
    if (late?.kind === 'delay') await sleep(late.delayMs)
    if (late?.kind === 'truncate') c.res = await half(c.res)
  })

async function half(response: Response): Promise<Response> {
  const text = await response.text()
  const headers = new Headers(response.headers)
  headers.delete('content-length')
  return new Response(text.slice(0, Math.floor(text.length / 2)), { status: response.status, headers })
}

/** Breaks the connection; nothing is answered any more. */
function hangUp(incoming: IncomingMessage): Promise<never> {
  incoming.socket.destroy()
  return new Promise(() => {})
}
