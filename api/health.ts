import { createRoute, OpenAPIHono, z } from '@hono/zod-openapi'
import { PHASES } from '../core/explain.ts'
import { isLive } from '../core/phases.ts'
import { sourceFor } from '../core/sight.ts'
import { countByPhase } from '../store/experiments.ts'
import { listExpectedClusters } from '../store/fleet.ts'
import type { SourceRow } from '../store/sources.ts'
import { type SeenDeps, seenSources } from './seen.ts'

const Source = z.object({
  last_sync: z.iso.datetime().nullable().openapi({ description: 'the last look that succeeded' }),
  staleness_seconds: z.number().nullable(),
  running: z.boolean().openapi({ description: 'true while looks succeed' }),
  error: z
    .string()
    .nullable()
    .openapi({ description: 'what went wrong with the last look, or that none has come for too long' }),
})

const HealthJson = z
  .object({
    status: z.enum(['ok', 'degraded']),
    skypilot: Source,
    s3: Source,
    observatory: Source,
    num_experiments: z.int(),
    num_running_jobs: z.int(),
    num_clusters: z.int(),
  })
  .openapi('Health')

const healthRoute = createRoute({
  method: 'get',
  path: '/api/health',
  summary: 'How fresh our knowledge is',
  responses: { 200: { description: 'the health', content: { 'application/json': { schema: HealthJson } } } },
})

/** A source that nobody has configured: never looked at, and no error either. */
const UNUSED = { last_sync: null, staleness_seconds: null, running: false, error: null }

/** `/api/health` tells people how old things are; `/healthz` tells machines whether this process can serve. */
export function healthApi(deps: SeenDeps): OpenAPIHono {
  const { db } = deps
  const app = new OpenAPIHono()
  app.openapi(healthRoute, async (c) => {
    const [sources, counts, clusters] = await Promise.all([
      seenSources(deps),
      countByPhase(db),
      listExpectedClusters(db),
    ])
    const skypilot = sourceJson(sourceFor(sources, null))
    return c.json({
      status: skypilot.running ? ('ok' as const) : ('degraded' as const),
      skypilot,
      s3: UNUSED,
      observatory: UNUSED,
      num_experiments: [...counts.values()].reduce((sum, count) => sum + count, 0),
      num_running_jobs: PHASES.filter(isLive).reduce((sum, phase) => sum + (counts.get(phase) ?? 0), 0),
      num_clusters: clusters.length,
    })
  })
  app.get('/healthz', async (c) => {
    await db.query('select 1')
    return c.text('ok')
  })
  return app
}

function sourceJson(source: SourceRow | undefined): z.infer<typeof Source> {
  if (!source) return UNUSED
  const { okAtMs, error } = source
  return {
    last_sync: okAtMs === null ? null : new Date(okAtMs).toISOString(),
    staleness_seconds: okAtMs === null ? null : Math.max(0, (Date.now() - okAtMs) / 1_000),
    running: error === null,
    error,
  }
}
