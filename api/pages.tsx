import { Hono } from 'hono'
import { buildCommand } from '../core/build-command.ts'
import { isDesiredState } from '../core/spec.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { listEvents } from '../store/events.ts'
import { DetailPage } from '../views/detail.tsx'
import { ActivityPage } from '../views/events.tsx'
import { FormPage, PreviewLine } from '../views/form.tsx'
import { ListPage } from '../views/list.tsx'
import { LOG_LINES, LogPage } from '../views/log.tsx'
import { paths } from '../views/paths.ts'
import { fieldsIn } from './applies.ts'
import { changed, controlPages, outdated } from './control-pages.tsx'
import { type Desk, findJob } from './desk.ts'
import { specOf } from './experiment-input.ts'
import { blankForm, formOf, formValues, parseCreate, parseEdit } from './form.ts'
import { openLog } from './job-log.ts'
import { actorOf } from './openapi.ts'
import { deletedOf, detailProps, frameOf, listProps, listQueryOf, type PageDeps } from './page-data.ts'
import { OutdatedPage } from './page-wish.ts'
import { Problem } from './problem.ts'
import { wantsPartial } from './wants-partial.ts'

const ACTIVITY_SHOWN = 200
const LOG_WAIT_MS = 10_000

export interface PagesDeps extends PageDeps {
  desk: Desk
  skypilot: SkyPilot
}

/** The console. Every form works without script: it posts, and is sent on to a page. */
export function pages(deps: PagesDeps): Hono {
  const app = new Hono()
  app.get('/', async (c) => {
    const props = await listProps(deps, listQueryOf(c.req.query()))
    return c.render(<ListPage {...props} deleted={await deletedOf(deps, c.req.query('deleted'))} />)
  })
  app.get('/activity', async (c) => {
    const events = await listEvents(deps.db, { experimentId: null, limit: ACTIVITY_SHOWN })
    return c.render(
      <ActivityPage frame={await frameOf(deps, 'activity')} events={events} limit={ACTIVITY_SHOWN} />,
    )
  })
  app.post('/refresh', async (c) => {
    await deps.desk.refresh()
    return wantsPartial(c) ? c.body(null, 204) : c.redirect(paths.list(), 303)
  })
  createPages(app, deps)
  experimentPages(app, deps)
  editPages(app, deps)
  controlPages(app, deps)
  return app
}

function createPages(app: Hono, deps: PagesDeps): void {
  app.get('/new', async (c) => {
    const values = blankForm(c.req.query('example'))
    return c.render(
      <FormPage frame={await frameOf(deps)} values={values} errors={new Map()} editing={null} />,
    )
  })
  app.post('/new', async (c) => {
    const values = formValues(await c.req.parseBody())
    const parsed = parseCreate(values)
    const created =
      'input' in parsed ? await fields(() => deps.desk.create(parsed.input, actorOf(c))) : parsed
    if ('input' in created) return c.redirect(paths.experiment(created.input.id), 303)
    c.status(422)
    return c.render(
      <FormPage frame={await frameOf(deps)} values={values} errors={created.errors} editing={null} />,
    )
  })
  app.post('/preview', async (c) => {
    const values = formValues(await c.req.parseBody())
    const parsed = parseCreate({ ...values, name: values.name.trim() || 'name' })
    if ('errors' in parsed) {
      const problem = [...parsed.errors].map(([field, message]) => `${field}: ${message}`).join('; ')
      return c.html(<PreviewLine line="" problem={problem} />)
    }
    const { line } = buildCommand(parsed.input.name, specOf(parsed.input))
    return c.html(<PreviewLine line={line} problem={null} />)
  })
}

function experimentPages(app: Hono, deps: PagesDeps): void {
  app.get('/e/:id', async (c) => {
    const row = await deps.desk.find(c.req.param('id'))
    const { now, next } = c.req.query()
    const saved = { now: fieldsIn(now), nextRun: fieldsIn(next) }
    return c.render(<DetailPage {...await detailProps(deps, row)} saved={saved} />)
  })
  app.post('/e/:id/state', async (c) => {
    const { state, generation } = await c.req.parseBody()
    if (!isDesiredState(state)) throw new Problem(422, 'state must be RUNNING, STOPPED or TERMINATED')
    const wish = { state, generation: generationOf(generation) }
    try {
      return changed(c, deps, await deps.desk.wishOfPage(c.req.param('id'), wish, { actor: actorOf(c) }))
    } catch (error) {
      if (error instanceof OutdatedPage) return outdated(c, deps, error)
      throw error
    }
  })
  app.post('/e/:id/delete', async (c) => {
    const { id } = await deps.desk.remove(c.req.param('id'), { actor: actorOf(c) })
    return c.redirect(paths.list({ deleted: id }), 303)
  })
  app.get('/e/:id/log', async (c) => {
    const row = await deps.desk.find(c.req.param('id'))
    const lines: string[] = []
    if (row.jobKey !== null) {
      const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(LOG_WAIT_MS)])
      const job = await findJob(deps.db, row.jobKey)
      for await (const line of await openLog(deps.skypilot, job, { follow: false, tail: LOG_LINES, signal }))
        lines.push(line)
    }
    return c.render(
      <LogPage frame={await frameOf(deps)} name={row.name} experimentId={row.id} lines={lines} />,
    )
  })
}

/** Pages of an earlier build do not say what they show. */
const generationOf = (text: unknown): number | null =>
  typeof text === 'string' && /^\d{1,9}$/.test(text) ? Number(text) : null

function editPages(app: Hono, deps: PagesDeps): void {
  app.get('/e/:id/edit', async (c) => {
    const row = await deps.desk.find(c.req.param('id'))
    return c.render(
      <FormPage frame={await frameOf(deps)} values={formOf(row)} errors={new Map()} editing={row} />,
    )
  })
  app.post('/e/:id/edit', async (c) => {
    const row = await deps.desk.find(c.req.param('id'))
    const values = formValues(await c.req.parseBody(), formOf(row))
    const parsed = parseEdit(values)
    const edited =
      'input' in parsed
        ? await fields(() => deps.desk.edit(String(row.id), parsed.input, { actor: actorOf(c) }))
        : parsed
    if ('input' in edited) {
      const { now, next_run: nextRun } = edited.input.applies
      return c.redirect(paths.experiment(row.id, { now, nextRun }), 303)
    }
    c.status(422)
    return c.render(
      <FormPage frame={await frameOf(deps)} values={values} errors={edited.errors} editing={row} />,
    )
  })
}

/** Does it, or says which fields stand in the way; what has nothing to do with a field is thrown on. */
async function fields<T>(work: () => Promise<T>): Promise<{ input: T } | { errors: Map<string, string> }> {
  try {
    return { input: await work() }
  } catch (error) {
    if (!(error instanceof Problem) || error.errors.length === 0) throw error
    return { errors: new Map(error.errors.map(({ field, message }) => [field, message])) }
  }
}
