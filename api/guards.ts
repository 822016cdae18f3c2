import { csrf } from 'hono/csrf'
import { createMiddleware } from 'hono/factory'
import { Problem } from './problem.ts'

/**
 * Refuses requests for a host that is not ours. A page on the web can make its own name point to 127.0.0.1 and
 * would then be let in by the browser as if it were the console (DNS rebinding).
 */
export const hostGuard = (hosts: readonly string[] | null) =>
  createMiddleware(async (c, next) => {
    const host = c.req.header('host') ?? new URL(c.req.url).host
    const name = host.replace(/:\d+$/, '').toLowerCase()
    if (hosts !== null && !hosts.includes(name))
      throw new Problem(
        421,
        `this console is not known as ${name}; ask for it by the address that it printed`,
      )
    await next()
  })

const crossSite = csrf()

/**
 * Refuses what another site's page makes a browser send. A browser always says where such a request comes from;
 * programs say nothing, and nobody can make them act without their knowledge.
 */
export const sameSite = createMiddleware((c, next) => {
  const isBrowser = c.req.header('origin') !== undefined || c.req.header('sec-fetch-site') !== undefined
  return isBrowser ? crossSite(c, next) : next()
})

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]']

/**
 * The names that a console bound to this host answers to, the one under which jobs reach it among them; every name when
 * it is bound to all addresses.
 */
export function hostsFor(host: string, jobsUrl?: string): string[] | null {
  if (host === '0.0.0.0' || host === '::') return null
  const forJobs = jobsUrl === undefined ? [] : [new URL(jobsUrl).hostname.toLowerCase()]
  return [...LOOPBACK, host.includes(':') ? `[${host}]` : host.toLowerCase(), ...forJobs]
}
