import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { stream } from 'hono/streaming'
import type { Pool } from 'pg'
import { listJobs } from '../store/attempts.ts'
import { listExperiments } from '../store/experiments.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { type Desk, findJob } from './desk.ts'
import { openLog } from './job-log.ts'
import { JobJson, jobJson } from './json.ts'
import { actorOf, flag, invalid, jsonOf, problemOf, problems } from './openapi.ts'

const LIST_MAX = 1_000
const IdParam = z.object({ id: z.string().openapi({ param: { name: 'id', in: 'path' } }) })
const Message = z.object({ message: z.string() })

const LogsQuery = z.object({
  follow: flag,
  tail: z.coerce.number().int().min(1).max(100_000).optional(),
})

const routes = {
  list: createRoute({
    method: 'get',
    path: '/api/skypilot-jobs',
    summary: 'Jobs of all experiments, newest first',
    request: {
      query: z.object({
        limit: z.coerce.number().int().min(1).max(LIST_MAX).default(20),
        include_stopped: flag,
      }),
    },
    responses: {
      ...jsonOf(z.object({ jobs: z.array(JobJson), clusters: z.array(z.unknown()) }), 'the jobs'),
      ...problems(422),
    },
  }),
  cancel: createRoute({
    method: 'post',
    path: '/api/jobs/{id}/cancel',
    summary: 'Cancel a job; its experiment is set to STOPPED',
    request: { params: IdParam },
    responses: { ...jsonOf(Message, 'the cancel was taken'), ...problems(400, 404, 409, 503) },
  }),
  logs: createRoute({
    method: 'get',
    path: '/api/jobs/{id}/logs',
    summary: 'The output of a job',
    request: {
      params: IdParam,
      query: LogsQuery,
    },
    responses: {
      200: { description: 'lines of text', content: { 'text/plain': { schema: z.string() } } },
      ...problems(404, 422, 503),
    },
  }),
  refresh: createRoute({
    method: 'post',
    path: '/api/refresh',
    summary: 'Look at SkyPilot now',
    responses: { ...jsonOf(Message, 'asked'), ...problems(503) },
  }),
  reconcile: createRoute({
    method: 'post',
    path: '/api/reconcile',
    summary: 'Look at SkyPilot now; every experiment acts on what is seen',
    responses: { ...jsonOf(Message, 'asked'), ...problems(503) },
  }),
}

/** Jobs and looks as JSON, under the routes of the original SkyDeck. */
export function jobsApi({ db, desk, skypilot }: { db: Pool; desk: Desk; skypilot: SkyPilot }): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: invalid })
  app.openapi(routes.list, async (c) => {
    const { limit, include_stopped: all } = c.req.valid('query')
    const attempts = await listJobs(db, { limit, onlyLive: !all })
    const ids = [...new Set(attempts.map(({ experimentId }) => experimentId))]
    // A job may outlast its experiment for as long as SkyPilot does not end it.
    const rows = await listExperiments(db, { which: 'both', ids, limit: LIST_MAX })
    const owners = new Map(rows.map((row) => [row.id, row]))
    const jobs = attempts.flatMap((attempt) => {
      const owner = owners.get(attempt.experimentId)
      return owner ? [jobJson(attempt, owner)] : []
    })
    return c.json({ jobs, clusters: [] }, 200)
  })
  app.openapi(routes.cancel, async (c) => {
    await desk.cancelJob(c.req.valid('param').id, { actor: actorOf(c), reason: 'job cancelled' })
    return c.json({ message: 'Job canceled' }, 200)
  })
  app.openapi(routes.refresh, async (c) => {
    const isDone = await desk.refresh()
    return c.json(
      { message: isDone ? 'Refresh complete' : 'Refresh asked for; the look takes its time' },
      200,
    )
  })
  app.openapi(routes.reconcile, async (c) => {
    await desk.refresh()
    return c.json({ message: 'Every experiment is being looked at' }, 200)
  })
  logsRoute(app, db, skypilot)
  return app
}

/** A plain route beside its description, because the library has no type for a streamed body. */
function logsRoute(app: OpenAPIHono, db: Pool, skypilot: SkyPilot): void {
  app.openAPIRegistry.registerPath(routes.logs)
  app.get('/api/jobs/:id/logs', async (c) => {
    const query = LogsQuery.safeParse(c.req.query())
    if (!query.success) throw problemOf(query.error.issues)
    const { follow, tail } = query.data
    const job = await findJob(db, c.req.param('id'))
    const lines = await openLog(skypilot, job, { follow, tail, signal: c.req.raw.signal })
    c.header('Content-Type', 'text/plain; charset=utf-8')
    return stream(c, async (out) => {
      for await (const text of lines) await out.write(`${text}\n`)
    })
  })
}
