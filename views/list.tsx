import type { JSX } from 'hono/jsx/jsx-runtime'
import { type Phase, PHASES } from '../core/explain.ts'
import { mayRun } from '../core/phases.ts'
import type { DesiredState } from '../core/spec.ts'
import { whyNot } from './can.ts'
import { Age, MiddleCut } from './format.tsx'
import { ShortWhy } from './headline.tsx'
import { type Frame, Layout } from './layout.tsx'
import type { ExperimentView } from './model.ts'
import { paths } from './paths.ts'
import { Mark, Status, wordOf } from './status.tsx'
import { Hold, Undelete } from './verbs.tsx'
import { Wish } from './wish.tsx'

export interface ListQuery {
  q: string
  phase: Phase | undefined
  /** Those that are being deleted, in place of the living. */
  isDeleting: boolean
  page: number
}

export interface ListProps {
  frame: Frame
  query: ListQuery
  rows: readonly ExperimentView[]
  counts: ReadonlyMap<string, number>
  pageSize: number
  /** How many are deleted and may still have something on a machine. */
  deleting: number
  /** How many jobs and clusters belong to nobody. */
  orphans: number
  /** What was just deleted, and can be brought back. */
  deleted?: { id: number; name: string } | undefined
}

export const ListPage = (props: ListProps): JSX.Element => (
  <Layout title="Experiments" frame={props.frame}>
    <div hx-sse:connect={paths.listEvents(props.query)} hx-swap="none"></div>
    <div class="head">
      <h1>Experiments</h1>
      <form method="get" action={paths.list()} role="search">
        <label class="hidden" for="q">
          Find by name
        </label>
        <input id="q" type="search" name="q" value={props.query.q} placeholder="Find by name  ( / )" />
        {props.query.phase ? <input type="hidden" name="phase" value={props.query.phase} /> : null}
        {props.query.isDeleting ? <input type="hidden" name="deleting" value="1" /> : null}
        <noscript>
          <button>Find</button>
        </noscript>
      </form>
      <a class="button primary" href={paths.create()}>
        New experiment
      </a>
    </div>
    {props.deleted ? <Deleted of={props.deleted} /> : null}
    <Strip {...props} />
    <Rows {...props} />
  </Layout>
)

const Deleted = ({ of }: { of: { id: number; name: string } }): JSX.Element => (
  <div class="notice calm" role="status">
    {of.name} is deleted; what ran of it is being stopped. <Undelete id={of.id} name={of.name} />
  </div>
)

/** How many there are of each kind. Each number leads to those experiments. */
export const Strip = ({
  counts,
  query,
  deleting,
  orphans,
}: Pick<ListProps, 'counts' | 'query' | 'deleting' | 'orphans'>): JSX.Element => {
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0)
  const shown = PHASES.filter((phase) => (counts.get(phase) ?? 0) > 0 || phase === query.phase)
  return (
    <nav id="strip" class="strip" aria-label="By state">
      <a
        href={paths.list({ q: query.q })}
        aria-current={query.phase || query.isDeleting ? undefined : 'true'}
      >
        all <b>{total}</b>
      </a>
      {shown.map((phase) => (
        <a href={paths.list({ q: query.q, phase })} aria-current={query.phase === phase ? 'true' : undefined}>
          <Mark phase={phase} /> {wordOf(phase)} <b>{counts.get(phase) ?? 0}</b>
        </a>
      ))}
      {deleting > 0 || query.isDeleting ? (
        <a
          href={paths.list({ q: query.q, isDeleting: true })}
          aria-current={query.isDeleting ? 'true' : undefined}
        >
          <Mark phase="stopping" /> being deleted <b>{deleting}</b>
        </a>
      ) : null}
      {(counts.get('queued') ?? 0) > 0 ? <a href={paths.queue()}>start queue →</a> : null}
      {orphans > 0 ? (
        <a href={paths.orphans()}>
          <span class="mark orphan" aria-hidden="true">
            ⚠
          </span>{' '}
          nobody's <b>{orphans}</b>
        </a>
      ) : null}
    </nav>
  )
}

const matching = ({ counts, query, deleting }: Pick<ListProps, 'counts' | 'query' | 'deleting'>): number => {
  if (query.isDeleting) return deleting
  return query.phase
    ? (counts.get(query.phase) ?? 0)
    : [...counts.values()].reduce((sum, count) => sum + count, 0)
}

/** The table of one page, or what to do when it is empty. */
export const Rows = (props: ListProps): JSX.Element => {
  const { frame, query, rows, pageSize } = props
  const total = matching(props)
  if (rows.length === 0 && query.page === 1)
    return <div id="rows">{isNarrowed(query) ? <NoMatch query={query} /> : <FirstRun />}</div>
  return (
    <div id="rows">
      <table class="experiments">
        <caption class="hidden">Experiments</caption>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Name</th>
            <th scope="col">Why</th>
            <th scope="col" class="number">
              Job
            </th>
            <th scope="col" class="number">
              Nodes × GPUs
            </th>
            <th scope="col" class="number">
              {query.isDeleting ? 'Deleted' : 'Changed'}
            </th>
            <th scope="col">
              <span class="hidden">Actions</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Row of={row} nowMs={frame.nowMs} />
          ))}
        </tbody>
      </table>
      <Pager query={query} total={total} shown={rows.length} pageSize={pageSize} />
    </div>
  )
}

export const Row = ({ of, nowMs }: { of: ExperimentView; nowMs: number }): JSX.Element => (
  <tr id={`e-${of.id}`} class={of.deletedAtMs === null ? undefined : 'deleted'} data-row>
    <td>
      <Status of={of} />
    </td>
    <th scope="row">
      <a href={paths.experiment(of.id)}>
        <MiddleCut text={of.name} />
      </a>
    </th>
    <td class="why" title={of.why}>
      <ShortWhy of={of} nowMs={nowMs} />
      {of.deletedAtMs === null || of.next === null ? null : <span class="quiet"> · next: {of.next}</span>}
    </td>
    <td class="number">{of.jobId ?? '–'}</td>
    <td class="number">
      {of.spec.nodes} × {of.spec.gpus}
    </td>
    <td class="number">
      <Age atMs={of.deletedAtMs ?? of.updatedAtMs} nowMs={nowMs} />
    </td>
    <td class="actions">
      <RowAction of={of} />
    </td>
  </tr>
)

const RowAction = ({ of }: { of: ExperimentView }): JSX.Element => {
  if (of.deletedAtMs !== null) return <Undelete id={of.id} name={of.name} />
  return of.heldBy === null ? (
    <Wish of={of} state={nextWish(of)} region="row" />
  ) : (
    <Hold of={of} region="row" />
  )
}

/** The one button of a row: what is sensible to say next. While something may run, that is to stop it. */
const nextWish = (of: ExperimentView): DesiredState =>
  of.desiredState === 'RUNNING' && (mayRun(of.phase) || whyNot.RUNNING(of) !== undefined)
    ? 'STOPPED'
    : 'RUNNING'

const Pager = (props: { query: ListQuery; total: number; shown: number; pageSize: number }): JSX.Element => {
  const { query, total, shown, pageSize } = props
  const from = (query.page - 1) * pageSize
  return (
    <p class="pager">
      <span>
        {shown === 0 ? 'none' : `${from + 1}–${from + shown}`} of {total}
      </span>
      {query.page > 1 ? <a href={paths.list({ ...query, page: query.page - 1 })}>← newer</a> : null}
      {from + shown < total ? <a href={paths.list({ ...query, page: query.page + 1 })}>older →</a> : null}
    </p>
  )
}

const isNarrowed = ({ q, phase, isDeleting }: ListQuery): boolean =>
  q !== '' || phase !== undefined || isDeleting

const NoMatch = ({ query }: { query: ListQuery }): JSX.Element => (
  <div class="empty">
    <h2>{query.isDeleting ? 'Nothing is left of what was deleted' : 'No experiment matches'}</h2>
    <p>
      {query.q && query.phase ? (
        <>
          None {wordOf(query.phase)} with “{query.q}” in the name.{' '}
          <a href={paths.list({ q: query.q })}>Any state</a> ·{' '}
        </>
      ) : null}
      <a href={paths.list()}>Show all</a>
    </p>
  </div>
)

const FirstRun = (): JSX.Element => (
  <div class="empty">
    <h2>Nothing here yet</h2>
    <p>
      An experiment is a command with flags. Say that you want it RUNNING; SkyDeck starts it, keeps it so, and
      remembers what happened.
    </p>
    <p class="choices">
      <a class="button primary" href={paths.create()}>
        Run my own command
      </a>
      <a class="button" href={paths.create('count')}>
        Try one that counts
      </a>
      <a class="button" href={paths.create('fail')}>
        Try one that fails
      </a>
    </p>
  </div>
)
