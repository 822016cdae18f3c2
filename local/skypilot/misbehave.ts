import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Context } from 'hono'
import { createMiddleware } from 'hono/factory'
import { z } from 'zod'
import type { Fault, Faults } from './faults.ts'

type Env = { Bindings: { incoming: IncomingMessage } }

/** Applies the faults of the wire. Those of the effect are asked for where the effect is. */
export const misbehave = (faults: Faults) =>
  createMiddleware<Env>(async (c, next) => {
    const { path } = c.req
    if (path.startsWith('/local/')) return next()
    const name = faults.needNames ? await nameIn(c) : undefined
    if (faults.take(path, ['drop-before'], name)) return hangUp(c.env.incoming)
    const early = faults.take(path, ['login-page', 'status'], name)
    if (early) return early.kind === 'status' ? refusal(early) : c.html('<html><body>Sign in</body></html>')
    const bump = faults.take(path, ['version-bump'], name)
    if (bump && isTooOld(c, bump)) c.res = c.json(TOO_OLD, 400)
    else await next()
    if (bump) await tellVersion(c, bump)
    return spoil(c, faults.take(path, ['drop-after', 'delay', 'truncate'], name))
  })

const TOO_OLD = { error: 'version_mismatch', message: 'Your SkyPilot client version is too old' }

const refusal = ({ status }: Fault): Response => new Response('Internal Server Error', { status })

const isTooOld = (c: Context<Env>, { minVersion }: Fault): boolean =>
  Number(c.req.header('x-skypilot-api-version') ?? minVersion) < minVersion

async function spoil(c: Context<Env>, fault: Fault | undefined): Promise<void> {
  if (fault?.kind === 'drop-after') await hangUp(c.env.incoming)
  if (fault?.kind === 'delay') await sleep(fault.delayMs)
  if (fault?.kind === 'truncate') c.res = await half(c.res)
}

const Named = z.object({
  name: z.string().nullish(),
  cluster_name: z.string().nullish(),
  service_name: z.string().nullish(),
})

/** The name that a body is about. */
export function nameOf(body: unknown): string | undefined {
  const { data } = Named.safeParse(body)
  return data?.name ?? data?.cluster_name ?? data?.service_name ?? undefined
}

async function nameIn(c: Context<Env>): Promise<string | undefined> {
  if (c.req.method !== 'POST' || c.req.path.startsWith('/upload')) return undefined
  return nameOf(await c.req.json().catch(() => undefined))
}

async function tellVersion(c: Context<Env>, { apiVersion }: Fault): Promise<void> {
  if (c.req.path === '/api/health' && c.res.ok) {
    const health = z.record(z.string(), z.unknown()).parse(await c.res.json())
    c.res = c.json({ ...health, api_version: apiVersion })
  }
  c.res.headers.set('X-SkyPilot-API-Version', apiVersion)
}

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
