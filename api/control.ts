import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { By } from '../sdk/experiments.ts'
import type { ExperimentRow } from '../store/experiments.ts'
import { type ExperimentsDeps, seenJson } from './experiments.ts'
import { One } from './json.ts'
import { actorOf, IdParam, invalid, jsonBody, jsonOf, problems } from './openapi.ts'

const reason = z.string().trim().max(500)
const Maybe = z.object({ reason: reason.optional() })

/** A body that says why, and may be left out. */
const maybeReason = { required: false, content: { 'application/json': { schema: Maybe } } }

const wishRoute = (verb: string, summary: string) =>
  createRoute({
    method: 'post',
    path: `/api/experiments/{id}/${verb}`,
    summary,
    request: { params: IdParam, body: maybeReason },
    responses: { ...jsonOf(One, 'the experiment'), ...problems(404, 409, 422, 503) },
  })

const hold = wishRoute('hold', 'Hands off: do nothing with it, whatever is wanted, until it is released')
const release = wishRoute('release', 'Go on with what is held')
const undelete = wishRoute('undelete', 'Undo its deletion; what ran before does not run again by that')

const confirmGone = createRoute({
  method: 'post',
  path: '/api/experiments/{id}/confirm-gone',
  summary: 'Say that you looked at the machines yourself and nothing of it runs any more',
  request: {
    params: IdParam,
    body: jsonBody(z.object({ reason: reason.min(1, 'say how you checked that nothing runs any more') })),
  },
  responses: { ...jsonOf(One, 'the experiment'), ...problems(404, 422, 503) },
})

export const AdoptInput = z
  .object({
    job_id: z.coerce.number().int().positive(),
    job_name: z.string().trim().min(1).max(300).openapi({
      description: 'the name of the job, exactly; may be left out for a job in the list of orphans',
    }),
    cluster_name: z.string().trim().min(1).max(300),
  })
  .partial()
  .refine(
    (given) => given.job_id !== undefined || given.cluster_name !== undefined,
    'name a job_id or a cluster_name',
  )
  .openapi('Adopt')

const adopt = createRoute({
  method: 'post',
  path: '/api/experiments/{id}/adopt',
  summary: 'Take a job or a cluster that belongs to nobody into it; both for a job on a cluster',
  request: { params: IdParam, body: jsonBody(AdoptInput) },
  responses: { ...jsonOf(One, 'the experiment'), ...problems(404, 409, 422, 503) },
})

/** What people can say of an experiment beside what they want of it. */
export function controlApi(deps: ExperimentsDeps): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: invalid })
  const { desk } = deps
  const answer = async (row: ExperimentRow) => ({ experiment: await seenJson(deps, row) })
  const by = (c: Context, { reason: said }: { reason?: string | undefined } = {}): By => ({
    actor: actorOf(c),
    reason: said || null,
  })

  app.openapi(hold, async (c) =>
    c.json(await answer(await desk.hold(c.req.valid('param').id, by(c, c.req.valid('json')))), 200),
  )
  app.openapi(release, async (c) =>
    c.json(await answer(await desk.release(c.req.valid('param').id, by(c, c.req.valid('json')))), 200),
  )
  app.openapi(undelete, async (c) =>
    c.json(await answer(await desk.undelete(c.req.valid('param').id, by(c, c.req.valid('json')))), 200),
  )
  app.openapi(confirmGone, async (c) =>
    c.json(await answer(await desk.confirmGone(c.req.valid('param').id, by(c, c.req.valid('json')))), 200),
  )
  app.openapi(adopt, async (c) =>
    c.json(await answer(await desk.adopt(c.req.valid('param').id, c.req.valid('json'), by(c))), 200),
  )
  return app
}
