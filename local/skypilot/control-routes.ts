import type { Hono } from 'hono'
import { z } from 'zod'
import { type Env, Invalid, type Parts } from './exchange.ts'
import { Fault } from './faults.ts'
import { onlyFromHere } from './guards.ts'
import { SettingsChange } from './settings.ts'

const After = z.coerce.number().int().min(0).catch(0)
const Preempt = z.strictObject({
  job_ids: z.array(z.int()).optional(),
  name: z.string().optional(),
  /** This cluster's machines go away, without a word. */
  cluster: z.string().optional(),
})

/** For tests: what the server shall do wrong, how the cloud behaves, and what really happened. */
export function controlRoutes(app: Hono<Env>, parts: Parts): void {
  const { faults, database, state, jobs, clusters } = parts
  app.use('/local/*', onlyFromHere)
  app.get('/local/faults', (c) => c.json(faults.list()))
  app.post('/local/faults', async (c) => {
    faults.set(checked(z.array(Fault), await c.req.json().catch(() => undefined)))
    return c.json(faults.list())
  })
  app.delete('/local/faults', (c) => {
    faults.set([])
    return c.json([])
  })
  app.get('/local/settings', (c) => c.json(parts.settings()))
  app.post('/local/settings', async (c) => {
    parts.setSettings(checked(SettingsChange, await c.req.json().catch(() => undefined)))
    return c.json(parts.settings())
  })
  app.post('/local/preempt', async (c) => {
    const { job_ids: ids, name, cluster } = checked(Preempt, await c.req.json().catch(() => undefined))
    if (cluster !== undefined) return c.json({ vanished: await clusters.vanish(cluster) })
    const wanted = state
      .live()
      .filter((job) => ids?.includes(job.job_id) ?? (name === undefined || job.name === name))
    return c.json({ preempted: wanted.filter((job) => jobs.preempt(job)).map((job) => job.job_id) })
  })
  app.get('/local/ledger', (c) => c.json(database.ledger(After.parse(c.req.query('after') ?? 0))))
}

function checked<T>(schema: z.ZodType<T>, given: unknown): T {
  const read = schema.safeParse(given)
  if (!read.success) throw new Invalid(read.error.issues)
  return read.data
}
