import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { Pool } from 'pg'
import { PHASES } from '../core/explain.ts'
import { HEADLINE_WORDS } from '../core/headline.ts'
import { DESIRED_STATES } from '../core/spec.ts'
import { listAttempts } from '../store/attempts.ts'
import { listEvents } from '../store/events.ts'
import { countByPhase, type ExperimentRow, listExperiments } from '../store/experiments.ts'
import type { Desk } from './desk.ts'
import { CreateInput, EditInput, FlagsInput } from './experiment-input.ts'
import { ExperimentJson, experimentJson, iso, JobJson, jobJson, One } from './json.ts'
import { type SeenDeps, seenRow, seenRows } from './seen.ts'
import { actorOf, flag, IdParam, invalid, jsonBody, jsonOf, problems } from './openapi.ts'

const LIST_MAX = 1_000

const Edited = One.extend({
  applies: z.object({
    now: z.array(z.string()).openapi({ description: 'fields that hold at once' }),
    next_run: z.array(z.string()).openapi({ description: 'fields that hold from the next run on' }),
  }),
})
const Message = z.object({ message: z.string() })
const Limit = (fallback: number) => z.coerce.number().int().min(1).max(LIST_MAX).default(fallback)

const Wish = z.object({
  desired_state: z.enum(DESIRED_STATES),
  reason: z.string().max(500).optional(),
  if_generation: z.int().optional().openapi({ description: 'refuse when the wish has changed since' }),
})

const EventJson = z.object({
  at: z.iso.datetime(),
  kind: z.string(),
  actor: z.string(),
  text: z.string(),
})

const routes = {
  list: createRoute({
    method: 'get',
    path: '/api/experiments',
    summary: 'List experiments',
    request: {
      query: z.object({
        search: z.string().optional(),
        phase: z.union([z.enum(PHASES), z.array(z.enum(PHASES))]).optional(),
        deleting: flag.openapi({
          description:
            'those that are deleted and of which something may still be there, in place of the living',
        }),
        headline: z.union([z.enum(HEADLINE_WORDS), z.array(z.enum(HEADLINE_WORDS))]).optional(),
        limit: Limit(LIST_MAX),
        offset: z.coerce.number().int().min(0).default(0),
      }),
    },
    responses: {
      ...jsonOf(z.object({ experiments: z.array(ExperimentJson), total: z.int() }), 'the experiments'),
      ...problems(422),
    },
  }),
  create: createRoute({
    method: 'post',
    path: '/api/experiments',
    summary: 'Create an experiment',
    request: { body: jsonBody(CreateInput) },
    responses: { ...jsonOf(One, 'the new experiment'), ...problems(409, 422) },
  }),
  get: createRoute({
    method: 'get',
    path: '/api/experiments/{id}',
    summary: 'One experiment; by its id also one that is being deleted, until nothing of it is left',
    request: { params: IdParam },
    responses: { ...jsonOf(One, 'the experiment'), ...problems(404) },
  }),
  edit: createRoute({
    method: 'patch',
    path: '/api/experiments/{id}',
    summary: 'Change an experiment; a job that runs goes on as it is',
    request: { params: IdParam, body: jsonBody(EditInput) },
    responses: {
      ...jsonOf(Edited, 'the experiment, and which of the changes hold from when'),
      ...problems(404, 409, 422, 503),
    },
  }),
  remove: createRoute({
    method: 'delete',
    path: '/api/experiments/{id}',
    summary: 'Delete an experiment, after seeing to it that nothing keeps running',
    request: { params: IdParam },
    responses: { ...jsonOf(Message, 'deleted'), ...problems(404, 409, 503) },
  }),
  state: createRoute({
    method: 'post',
    path: '/api/experiments/{id}/state',
    summary: 'Say what you want of it',
    request: { params: IdParam, body: jsonBody(Wish) },
    responses: { ...jsonOf(One, 'the experiment'), ...problems(404, 409, 422, 503) },
  }),
  flags: createRoute({
    method: 'post',
    path: '/api/experiments/{id}/flags',
    summary: 'Replace its flags',
    request: { params: IdParam, body: jsonBody(z.object({ flags: FlagsInput })) },
    responses: { ...jsonOf(One, 'the experiment'), ...problems(404, 422, 503) },
  }),
  status: createRoute({
    method: 'get',
    path: '/api/experiments/{id}/status',
    summary: 'One experiment and its latest jobs',
    request: { params: IdParam },
    responses: {
      ...jsonOf(
        z.object({
          experiment: ExperimentJson,
          current_job: JobJson.nullable(),
          recent_jobs: z.array(JobJson),
        }),
        'the status',
      ),
      ...problems(404),
    },
  }),
  jobs: createRoute({
    method: 'get',
    path: '/api/experiments/{id}/jobs',
    summary: 'Its jobs, newest first',
    request: { params: IdParam, query: z.object({ limit: Limit(10) }) },
    responses: { ...jsonOf(z.object({ jobs: z.array(JobJson) }), 'the jobs'), ...problems(404, 422) },
  }),
  events: createRoute({
    method: 'get',
    path: '/api/experiments/{id}/events',
    summary: 'What happened to it, newest first',
    request: { params: IdParam, query: z.object({ limit: Limit(100) }) },
    responses: { ...jsonOf(z.object({ events: z.array(EventJson) }), 'the events'), ...problems(404, 422) },
  }),
  starred: createRoute({
    method: 'post',
    path: '/api/experiments/{id}/starred',
    summary: 'Star it',
    request: { params: IdParam, body: jsonBody(z.object({ starred: z.boolean() })) },
    responses: { ...jsonOf(z.object({ status: z.literal('ok') }), 'done'), ...problems(404, 422) },
  }),
  expanded: createRoute({
    method: 'post',
    path: '/api/experiments/{id}/expanded',
    summary: 'Fold or unfold it',
    request: { params: IdParam, body: jsonBody(z.object({ is_expanded: z.boolean() })) },
    responses: { ...jsonOf(z.object({ status: z.literal('ok') }), 'done'), ...problems(404, 422) },
  }),
}

export interface ExperimentsDeps extends SeenDeps {
  db: Pool
  desk: Desk
}

/** An experiment as JSON, as it is told now. */
export const seenJson = async (deps: SeenDeps, row: ExperimentRow): Promise<ExperimentJson> =>
  experimentJson(await seenRow(deps, row))

/** Experiments as JSON, under the routes of the original SkyDeck. */
export function experimentsApi(deps: ExperimentsDeps): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: invalid })
  const { desk } = deps
  readRoutes(app, deps)
  const ok = { status: 'ok' as const }

  app.openapi(routes.create, async (c) => {
    const row = await desk.create(c.req.valid('json'), actorOf(c))
    return c.json({ experiment: await seenJson(deps, row) }, 200)
  })
  app.openapi(routes.edit, async (c) => {
    const { row, applies } = await desk.edit(c.req.valid('param').id, c.req.valid('json'), {
      actor: actorOf(c),
    })
    return c.json({ experiment: await seenJson(deps, row), applies }, 200)
  })
  app.openapi(routes.remove, async (c) => {
    await desk.remove(c.req.valid('param').id, { actor: actorOf(c) })
    return c.json({ message: 'Experiment deleted' }, 200)
  })
  app.openapi(routes.state, async (c) => {
    const { desired_state: state, reason, if_generation: ifRevision } = c.req.valid('json')
    const by = { actor: actorOf(c), reason: reason ?? null, ifRevision: ifRevision ?? null }
    const row = await desk.setDesiredState(c.req.valid('param').id, state, by)
    return c.json({ experiment: await seenJson(deps, row) }, 200)
  })
  app.openapi(routes.flags, async (c) => {
    const { row } = await desk.edit(c.req.valid('param').id, c.req.valid('json'), { actor: actorOf(c) })
    return c.json({ experiment: await seenJson(deps, row) }, 200)
  })
  app.openapi(routes.starred, async (c) => {
    await desk.note(c.req.valid('param').id, c.req.valid('json'))
    return c.json(ok, 200)
  })
  app.openapi(routes.expanded, async (c) => {
    await desk.note(c.req.valid('param').id, { isExpanded: c.req.valid('json').is_expanded })
    return c.json(ok, 200)
  })
  return app
}

function readRoutes(app: OpenAPIHono, deps: ExperimentsDeps): void {
  const { db, desk } = deps
  app.openapi(routes.list, async (c) => {
    const { search, phase, headline, deleting, limit, offset } = c.req.valid('query')
    const which = deleting ? 'being-deleted' : 'living'
    const phases = phase === undefined ? undefined : [phase].flat()
    const headlines = headline === undefined ? undefined : [headline].flat()
    const [rows, counts] = await Promise.all([
      listExperiments(db, { which, search, phases, headlines, limit, offset }),
      countByPhase(db, { which, search, headlines }),
    ])
    const total = [...counts]
      .filter(([each]) => phases === undefined || phases.some((wanted) => wanted === each))
      .reduce((sum, [, count]) => sum + count, 0)
    return c.json({ experiments: (await seenRows(deps, rows)).map(experimentJson), total }, 200)
  })
  app.openapi(routes.get, async (c) =>
    c.json({ experiment: await seenJson(deps, await desk.find(c.req.valid('param').id)) }, 200),
  )
  app.openapi(routes.status, async (c) => {
    const row = await desk.find(c.req.valid('param').id)
    const attempts = await listAttempts(db, row.id, 10)
    const live = attempts.find(({ phase }) => phase !== 'ended')
    return c.json(
      {
        experiment: await seenJson(deps, row),
        current_job: live ? jobJson(live, row) : null,
        recent_jobs: attempts.map((attempt) => jobJson(attempt, row)),
      },
      200,
    )
  })
  app.openapi(routes.jobs, async (c) => {
    const row = await desk.find(c.req.valid('param').id)
    const attempts = await listAttempts(db, row.id, c.req.valid('query').limit)
    return c.json({ jobs: attempts.map((attempt) => jobJson(attempt, row)) }, 200)
  })
  app.openapi(routes.events, async (c) => {
    const row = await desk.find(c.req.valid('param').id)
    const events = await listEvents(db, { experimentId: row.id, limit: c.req.valid('query').limit })
    return c.json(
      {
        events: events.map(({ atMs, kind, actor, text }) => ({
          at: iso(atMs),
          kind,
          actor,
          text,
        })),
      },
      200,
    )
  })
}
