import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { isFenceToken } from '../runtime/fence-token.ts'
import { takeLease } from '../store/leases.ts'
import type { Queryable } from '../store/query.ts'
import { invalid, jsonBody, jsonOf, problems } from './openapi.ts'
import { Problem } from './problem.ts'

const number = (name: string) =>
  z.coerce
    .number()
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .openapi({ param: { name, in: 'path' } })

const lease = createRoute({
  method: 'post',
  path: '/api/fence/{experiment}/{run}/{attempt}',
  summary: 'Asked by a job before it begins: is it the one of its attempt?',
  description:
    'The first job of an attempt that asks gets the lease, and gets it again after a recovery. Any other is told 409 and must leave. `Authorization: Bearer` carries the token that the job was given.',
  request: {
    params: z.object({ experiment: number('experiment'), run: number('run'), attempt: number('attempt') }),
    body: jsonBody(z.object({ holder: z.string().min(1).max(500) })),
  },
  responses: {
    ...jsonOf(z.object({ lease: z.enum(['taken', 'renewed']) }), 'the job may begin'),
    ...problems(401, 409, 422),
  },
})

/** The fence before jobs. They are programs that carry their own token; nothing else of the console is open to it. */
export function fenceApi({ db, fenceSecret }: { db: Queryable; fenceSecret: string | null }): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: invalid })
  app.openapi(lease, async (c) => {
    const { experiment: experimentId, run, attempt } = c.req.valid('param')
    const [, token = ''] = /^Bearer ([\w-]+)$/.exec(c.req.header('authorization') ?? '') ?? []
    const of = { experimentId, run, attempt }
    if (fenceSecret === null || !isFenceToken(fenceSecret, of, token))
      throw new Problem(401, 'the token is not the one of this attempt')
    const taken = await takeLease(db, { ...of, holder: c.req.valid('json').holder })
    if (taken === 'held') throw new Problem(409, 'another job holds this attempt')
    return c.json({ lease: taken }, 200)
  })
  return app
}
