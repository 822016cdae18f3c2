import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import { jsxRenderer } from 'hono/jsx-renderer'
import { requestId } from 'hono/request-id'
import { secureHeaders } from 'hono/secure-headers'
import type { Log } from '../runtime/log.ts'
import type { Experiments } from '../sdk/experiments.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import type { Listener } from '../store/listen.ts'
import { isDiskFull } from '../store/query.ts'
import { Notice, ProblemPage } from '../views/notice.tsx'
import { assets } from './assets.ts'
import { controlApi } from './control.ts'
import { createDesk } from './desk.ts'
import { eventStreams } from './events.tsx'
import { experimentsApi } from './experiments.ts'
import { fenceApi } from './fence.ts'
import { fleetApi } from './fleet.ts'
import { healthApi } from './health.ts'
import { hostGuard, sameSite } from './guards.ts'
import { jobsApi } from './jobs.ts'
import { frameOf, type PageDeps } from './page-data.ts'
import { pages } from './pages.tsx'
import { Problem, sendProblem } from './problem.ts'
import { wantsPartial } from './wants-partial.ts'

const BODY_BYTES_MAX = 1024 * 1024

export interface AppDeps extends PageDeps {
  experiments: Experiments
  skypilot: SkyPilot
  changes: Listener
  /** From which the tokens of jobs are made; null where no job is fenced. */
  fenceSecret: string | null
  /** Names under which the console may be asked for; null allows every name. */
  hosts: readonly string[] | null
  log: Pick<Log, 'error' | 'warn' | 'debug'>
}

/** The whole console: pages, JSON, event streams and files. */
export function createApp(given: AppDeps): OpenAPIHono {
  const deps = { ...given, desk: createDesk(given) }
  const app = new OpenAPIHono()
  app.use(requestId(), hostGuard(given.hosts), secureHeaders(HEADERS), sameSite)
  app.use(bodyLimit({ maxSize: BODY_BYTES_MAX, onError: (c) => sendProblem(c, tooLarge) }))
  app.use(async (c, next) => {
    await next()
    if (!c.res.headers.has('cache-control')) c.header('Cache-Control', 'no-store')
    c.header('Vary', 'HX-Request-Type', { append: true })
  })
  app.use(jsxRenderer(({ children }) => <>{children}</>, { docType: true }))
  app.route('/', assets())
  app.route('/', healthApi(deps))
  app.route('/', experimentsApi(deps))
  app.route('/', controlApi(deps))
  app.route('/', fleetApi(deps))
  app.route('/', fenceApi(deps))
  app.route('/', jobsApi(deps))
  app.route('/', eventStreams(deps))
  app.route('/', pages(deps))
  app.doc31('/api/openapi.json', {
    openapi: '3.1.0',
    info: { title: 'SkyDeck', version: '0.1.0', description: 'Say what you want of your experiments.' },
  })
  app.notFound((c) => explain(c, deps, new Problem(404, 'Not Found')))
  app.onError((error, c) => {
    const problem = problemFor(error)
    if (problem.status >= 500) deps.log.error({ err: error, path: c.req.path }, 'a request failed')
    return explain(c, deps, problem)
  })
  return app
}

const tooLarge = new Problem(413, `the body is larger than ${BODY_BYTES_MAX} bytes`)

const HEADERS: Parameters<typeof secureHeaders>[0] = {
  contentSecurityPolicy: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'"],
    imgSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    formAction: ["'self'"],
    baseUri: ["'none'"],
    frameAncestors: ["'none'"],
  },
  xFrameOptions: 'DENY',
  referrerPolicy: 'no-referrer',
  // The console is served over plain http on loopback; a proxy in front of it adds its own.
  strictTransportSecurity: false,
}

/** What went wrong in words that a caller can use; the rest is in the log, under the request's id. */
function problemFor(error: Error): Problem {
  if (error instanceof Problem) return error
  if (error instanceof SkyPilotError)
    return new Problem(error.kind === 'not-found' ? 404 : 503, `SkyPilot: ${error.message}`)
  if (error instanceof HTTPException) return new Problem(error.status, error.message || 'refused')
  if (/ECONN|terminated unexpectedly|timeout exceeded when trying to connect/.test(error.message))
    return new Problem(503, 'Postgres cannot be reached; experiments go on, this page comes back with it')
  if (isDiskFull(error))
    return new Problem(
      503,
      'the disk of Postgres is full; experiments go on, nothing new can be written until it has space',
    )
  return new Problem(500, 'something failed inside SkyDeck; the log has it under the id of this request')
}

async function explain(c: Context, deps: PageDeps, problem: Problem): Promise<Response> {
  if (c.req.path.startsWith('/api/') || !(c.req.header('accept') ?? '').includes('text/html'))
    return sendProblem(c, problem)
  c.status(problem.status)
  if (wantsPartial(c)) return c.html(<Notice text={problem.message} />)
  const { message: detail, status } = problem
  const bare = { nowMs: Date.now(), sources: [], temporalUiUrl: null, section: 'experiments' as const }
  const frame = await frameOf(deps).catch(() => bare)
  return c.render(
    <ProblemPage frame={frame} status={status} detail={detail} requestId={c.get('requestId') ?? ''} />,
  )
}
