import type { Context } from 'hono'
import { stream } from 'hono/streaming'
import { type Env, type Parts, type Sent, submit } from './exchange.ts'
import { type Tailed, tailLog } from './log-tail.ts'

/** The exit codes of a tail, as its request tells them. */
export const TAIL_CODES = {
  succeeded: 0,
  failed: 100,
  unfinished: 101,
  notFound: 102,
  cancelled: 103,
} as const

/** What a tail shows. */
export interface LogOrder {
  /** Nothing when there is no such job. */
  job: Tailed | undefined
  /** Said in place of a log. */
  words?: string
  follow: boolean
  tail: number | null
  /** How it stands at the end. */
  code: () => number
  /** The request fails with this, and the body stays empty. */
  failure?: Error
}

/** Streams a log; the request of the tail tells the exit code afterwards. */
export function streamLog(
  c: Context<Env>,
  parts: Parts,
  name: string,
  sent: Sent<unknown>,
  order: LogOrder,
): Response {
  const told = Promise.withResolvers<number>()
  // The request may look at it only later.
  told.promise.catch(() => undefined)
  submit(c, parts, name, sent, () => told.promise)
  c.header('Content-Type', 'text/plain; charset=utf-8')
  c.header('Cache-Control', 'no-cache, no-transform')
  c.header('X-Accel-Buffering', 'no')
  return stream(c, async (out) => {
    const gone = new AbortController()
    out.onAbort(() => gone.abort())
    const signal = AbortSignal.any([gone.signal, c.req.raw.signal, parts.closing])
    try {
      if (order.words !== undefined) await out.write(order.words)
      else if (order.job) {
        const { follow, tail } = order
        for await (const text of tailLog(order.job, { follow, tail, signal })) await out.write(text)
      }
    } finally {
      if (order.failure) told.reject(order.failure)
      else told.resolve(signal.aborted ? TAIL_CODES.unfinished : order.code())
    }
  })
}
