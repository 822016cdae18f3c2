import { Hono } from 'hono'
import { z } from 'zod'
import { type Env, Invalid, negotiate, type Parts, readBody, submit, traceback, VERSION } from './exchange.ts'
import { Fault, misbehave } from './faults.ts'
import { notFromPages, onlyFromHere } from './guards.ts'
import { jobRoutes } from './job-routes.ts'
import { requestRoutes } from './request-routes.ts'
import { RequestFailure } from './requests.ts'

/** Cluster calls find no cluster here, so they end as on a real server that has none. */
const NO_CLUSTER = ['queue', 'job_status', 'cancel', 'stop', 'down', 'start', 'autostop'] as const

/** SkyPilot's HTTP protocol (0.14.1, API version 62), as far as SkyDeck and its users need it on one machine. */
export function createRoutes(parts: Parts): Hono<Env> {
  const app = new Hono<Env>()
  app.use(notFromPages)
  app.use(negotiate)
  app.use(misbehave(parts.faults))
  healthRoute(app)
  requestRoutes(app, parts)
  jobRoutes(app, parts)
  clusterRoutes(app, parts)
  testRoutes(app, parts)
  app.notFound((c) =>
    app.routes.some(({ method, path }) => method !== 'ALL' && path === c.req.path)
      ? c.json({ detail: 'Method Not Allowed' }, 405)
      : c.json({ detail: 'Not Found' }, 404),
  )
  app.onError((error, c) =>
    error instanceof Invalid ? c.json({ detail: error.detail }, 422) : traceback(error),
  )
  return app
}

function healthRoute(app: Hono<Env>): void {
  app.get('/api/health', (c) =>
    c.json({
      status: 'healthy',
      api_version: VERSION.api,
      version: VERSION.sky,
      version_on_disk: VERSION.sky,
      commit: 'local',
      basic_auth_enabled: false,
      user: null,
      service_account_token_enabled: false,
      ingress_basic_auth_enabled: false,
      latest_version: null,
      external_proxy_auth_enabled: false,
      telemetry_enabled: false,
      restrict_config_to_admins: true,
    }),
  )
}

function clusterRoutes(app: Hono<Env>, parts: Parts): void {
  app.post('/status', async (c) => {
    const sent = await readBody(c, z.object({}))
    return submit(c, parts, 'status', sent, () => [])
  })
  for (const name of NO_CLUSTER)
    app.post(`/${name}`, async (c) => {
      const sent = await readBody(c, z.object({ cluster_name: z.string() }))
      return submit(c, parts, name, sent, () => {
        throw new RequestFailure(
          'ClusterDoesNotExist',
          `Cluster '${sent.input.cluster_name}' does not exist.`,
        )
      })
    })
}

/** For tests: what the server shall do wrong, and what really happened. */
function testRoutes(app: Hono<Env>, { faults, state }: Parts): void {
  app.use('/local/*', onlyFromHere)
  app.get('/local/faults', (c) => c.json(faults.list()))
  app.post('/local/faults', async (c) => {
    const given = z.array(Fault).safeParse(await c.req.json().catch(() => undefined))
    if (!given.success) throw new Invalid(given.error.issues)
    faults.set(given.data, state.jobs())
    return c.json(faults.list())
  })
  app.delete('/local/faults', (c) => {
    faults.set([], [])
    return c.json([])
  })
  app.get('/local/ledger', (c) => c.json(state.ledger()))
}
