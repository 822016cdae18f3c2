import type { MiddlewareHandler } from 'hono'
import type { Env } from './exchange.ts'

const LOOPBACK_NAMES = /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/i
const LOOPBACK_ADDRESSES = /^(?:::ffff:)?127\.|^::1$/

/**
 * Refuses what a page of the web makes a browser send: whoever can launch a job can run anything on this machine.
 * Browsers say where a request comes from, programs do not. A page may also give its own name to 127.0.0.1, so
 * over the loopback only names of the loopback are answered.
 */
export const notFromPages: MiddlewareHandler<Env> = async (c, next) => {
  const site = c.req.header('sec-fetch-site')
  if (
    c.req.header('origin') !== undefined ||
    (site !== undefined && site !== 'none' && site !== 'same-origin')
  )
    return c.json({ detail: 'Requests of web pages are not served' }, 403)
  if (
    isLocal(c.env.incoming.socket.localAddress) &&
    !LOOPBACK_NAMES.test(c.req.header('host') ?? 'localhost')
  )
    return c.json({ detail: 'Unknown host' }, 421)
  return next()
}

/** Only for callers on this machine, whatever address the server listens on. */
export const onlyFromHere: MiddlewareHandler<Env> = async (c, next) => {
  if (!isLocal(c.env.incoming.socket.remoteAddress)) return c.json({ detail: 'Not Found' }, 404)
  return next()
}

const isLocal = (address: string | undefined): boolean => LOOPBACK_ADDRESSES.test(address ?? '')
