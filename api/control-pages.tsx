import type { Context, Hono } from 'hono'
import type { JSX } from 'hono/jsx/jsx-runtime'
import { listOrphans } from '../store/fleet.ts'
import type { ExperimentRow } from '../store/experiments.ts'
import { listQueue } from '../store/queue.ts'
import { DetailPage, Summary } from '../views/detail.tsx'
import { Row } from '../views/list.tsx'
import { Notice, Partial } from '../views/notice.tsx'
import { OrphansPage } from '../views/orphans.tsx'
import { paths } from '../views/paths.ts'
import { QueuePage } from '../views/queue.tsx'
import { regionId } from '../views/wish.tsx'
import { AdoptInput } from './control.ts'
import type { Desk } from './desk.ts'
import { actorOf, problemOf } from './openapi.ts'
import { detailProps, frameOf, type PageDeps, QUEUE_SHOWN } from './page-data.ts'
import type { OutdatedPage } from './page-wish.ts'
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
export async function changed(c: Context, deps: PageDeps, row: ExperimentRow): Promise<Response> {
  const { region } = await c.req.parseBody()
  if (!wantsPartial(c)) return c.redirect(region === 'row' ? paths.list() : paths.experiment(row.id), 303)
  return c.html(await drawn(deps, row, region))
}

const drawn = async (deps: PageDeps, row: ExperimentRow, region: unknown): Promise<JSX.Element> =>
  region === 'row' ? (
    <Row of={await seenRow(deps, row)} nowMs={Date.now()} />
  ) : (
    <Summary {...await detailProps(deps, row)} />
  )

/** What a button of a page that is out of date answers with: why nothing was done, and the region as it is now. */
export async function outdated(
  c: Context,
  deps: PageDeps,
  { row, message }: OutdatedPage,
): Promise<Response> {
  const { region } = await c.req.parseBody()
  c.status(409)
  if (!wantsPartial(c)) return c.render(<DetailPage {...await detailProps(deps, row)} refusal={message} />)
  const target = `#${regionId(region === 'row' ? 'row' : 'summary', row.id)}`
  return c.html(
    <>
      <Partial target={target}>{await drawn(deps, row, region)}</Partial>
      <Notice text={message} />
    </>,
  )
}
