import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import type { Pool } from 'pg'
import { listOrphans } from '../store/fleet.ts'
import { listQueue } from '../store/queue.ts'
import type { Desk } from './desk.ts'
import { iso } from './json.ts'
import { invalid, jsonOf, problems } from './openapi.ts'

const time = z.iso.datetime()

const OrphanJson = z
  .object({
    kind: z.enum(['job', 'cluster']),
    key: z.string().openapi({ description: 'the id of a managed job, the name of a cluster' }),
    name: z.string(),
    status: z.string().openapi({ description: "SkyPilot's word" }),
    detail: z.string().nullable(),
    first_seen_at: time,
    seen_at: time,
  })
  .openapi('Orphan')

const QueuedJson = z
  .object({
    id: z.int(),
    name: z.string(),
    owner: z.string(),
    priority: z.int(),
    queued_at: time,
    why: z.string(),
    place: z.int(),
    of: z.int(),
  })
  .openapi('Queued')

const routes = {
  orphans: createRoute({
    method: 'get',
    path: '/api/orphans',
    summary: 'Jobs and clusters that belong to no experiment, the oldest first',
    responses: jsonOf(z.object({ orphans: z.array(OrphanJson) }), 'the orphans'),
  }),
  end: createRoute({
    method: 'post',
    path: '/api/orphans/{kind}/{key}/end',
    summary: 'Cancel an orphan job, or take an orphan cluster down',
    request: {
      params: z.object({
        kind: z.enum(['job', 'cluster']).openapi({ param: { name: 'kind', in: 'path' } }),
        key: z.string().openapi({ param: { name: 'key', in: 'path' } }),
      }),
    },
    responses: {
      ...jsonOf(z.object({ message: z.string() }), 'it is being ended'),
      ...problems(404, 409, 503),
    },
  }),
  queue: createRoute({
    method: 'get',
    path: '/api/queue',
    summary: 'What waits for its launch, in the order in which it gets it',
    request: { query: z.object({ limit: z.coerce.number().int().min(1).max(1_000).default(1_000) }) },
    responses: {
      ...jsonOf(z.object({ queue: z.array(QueuedJson), total: z.int() }), 'the start queue'),
      ...problems(422),
    },
  }),
}

/** What is not about one experiment: the start queue, and what belongs to nobody. */
export function fleetApi({ db, desk }: { db: Pool; desk: Desk }): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: invalid })
  app.openapi(routes.orphans, async (c) => {
    const orphans = (await listOrphans(db)).map(
      ({ kind, key, name, status, detail, firstSeenAtMs, seenAtMs }) => ({
        kind,
        key,
        name,
        status,
        detail,
        first_seen_at: iso(firstSeenAtMs),
        seen_at: iso(seenAtMs),
      }),
    )
    return c.json({ orphans }, 200)
  })
  app.openapi(routes.end, async (c) => {
    const { kind, key } = c.req.valid('param')
    await desk.endOrphan(kind, key)
    return c.json({ message: `The ${kind} is being ended` }, 200)
  })
  app.openapi(routes.queue, async (c) => {
    const rows = await listQueue(db, c.req.valid('query').limit)
    const queue = rows.map(({ id, name, owner, priority, queuedAtMs, why, place, of }) => ({
      id,
      name,
      owner,
      priority,
      queued_at: iso(queuedAtMs),
      why,
      place,
      of,
    }))
    return c.json({ queue, total: rows[0]?.of ?? 0 }, 200)
  })
  return app
}
