import { Hono } from 'hono'
import { clusterJobRoutes } from './cluster-job-routes.ts'
import { clusterRoutes } from './cluster-routes.ts'
import { controlRoutes } from './control-routes.ts'
import { type Env, Invalid, negotiate, type Parts, traceback, VERSION } from './exchange.ts'
import { notFromPages } from './guards.ts'
import { jobRoutes } from './job-routes.ts'
import { infraRoutes } from './infra-routes.ts'
import { misbehave } from './misbehave.ts'
import { requestRoutes } from './request-routes.ts'
import { serveRoutes } from './serve-routes.ts'
import { uploadRoutes } from './upload-routes.ts'

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
  clusterJobRoutes(app, parts)
  serveRoutes(app, parts)
  infraRoutes(app, parts)
  uploadRoutes(app, parts)
  controlRoutes(app, parts)
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
