import type { Context, Hono } from 'hono'
import { listOrphans } from '../store/fleet.ts'
import type { ExperimentRow } from '../store/experiments.ts'
import { listQueue } from '../store/queue.ts'
import { Summary } from '../views/detail.tsx'
import { Row } from '../views/list.tsx'
import { OrphansPage } from '../views/orphans.tsx'
import { paths } from '../views/paths.ts'
import { QueuePage } from '../views/queue.tsx'
import { AdoptInput } from './control.ts'
import type { Desk } from './desk.ts'
import { actorOf, problemOf } from './openapi.ts'
import { detailProps, frameOf, type PageDeps, QUEUE_SHOWN } from './page-data.ts'
import { seenRow } from './seen.ts'
import { wantsPartial } from './wants-partial.ts'

export interface ControlPagesDeps extends PageDeps {
  desk: Desk
}

/** What people say beside what they want, the start queue, and what belongs to nobody. */
export function controlPages(app: Hono, deps: ControlPagesDeps): void {
  const { desk, db } = deps
  const by = (c: Context, reason: unknown = null) => ({
    actor: actorOf(c),
    reason: typeof reason === 'string' ? reason : null,
  })

  app.post('/e/:id/hold', async (c) => changed(c, deps, await desk.hold(c.req.param('id'), by(c))))
  app.post('/e/:id/release', async (c) => changed(c, deps, await desk.release(c.req.param('id'), by(c))))
  app.post('/e/:id/confirm-gone', async (c) => {
    const { reason } = await c.req.parseBody()
    return toExperiment(c, await desk.confirmGone(c.req.param('id'), by(c, reason)))
  })
  app.post('/e/:id/undelete', async (c) => toExperiment(c, await desk.undelete(c.req.param('id'), by(c))))
  app.post('/e/:id/adopt', async (c) => {
    const fields = Object.entries(await c.req.parseBody()).filter(([, value]) => value !== '')
    const given = AdoptInput.safeParse(Object.fromEntries(fields))
    if (!given.success) throw problemOf(given.error.issues)
    return toExperiment(c, await desk.adopt(c.req.param('id'), given.data, by(c)))
  })

  app.get('/queue', async (c) =>
    c.render(<QueuePage frame={await frameOf(deps)} queue={await listQueue(db, QUEUE_SHOWN)} />),
  )
  app.get('/orphans', async (c) => {
    const [frame, orphans] = await Promise.all([frameOf(deps), listOrphans(db)])
    return c.render(<OrphansPage frame={frame} orphans={orphans} ended={c.req.query('ended') ?? null} />)
  })
  app.post('/orphans/:kind/:key/end', async (c) => {
    const { kind, key } = c.req.param()
    await desk.endOrphan(kind, key)
    return c.redirect(paths.orphans(`${kind} ${key}`), 303)
  })
  app.post('/orphans/:kind/:key/adopt', async (c) => {
    const { kind, key } = c.req.param()
    const { experiment } = await c.req.parseBody()
    const name = typeof experiment === 'string' ? experiment.trim() : ''
    const what = kind === 'cluster' ? { cluster_name: key } : { job_id: key }
    const given = AdoptInput.safeParse(what)
    if (!given.success) throw problemOf(given.error.issues)
    return toExperiment(c, await desk.adopt(name, given.data, by(c)))
  })
}

const toExperiment = (c: Context, row: ExperimentRow): Response => c.redirect(paths.experiment(row.id), 303)

/** What a button of a row or a page answers with: that region, drawn anew. */
async function changed(c: Context, deps: PageDeps, row: ExperimentRow): Promise<Response> {
  const { region } = await c.req.parseBody()
  if (!wantsPartial(c)) return c.redirect(region === 'row' ? paths.list() : paths.experiment(row.id), 303)
  if (region === 'row') return c.html(<Row of={await seenRow(deps, row)} nowMs={Date.now()} />)
  return c.html(<Summary {...await detailProps(deps, row)} />)
}
