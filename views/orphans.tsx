import type { JSX } from 'hono/jsx/jsx-runtime'
import { Age } from './format.tsx'
import { type Frame, Layout } from './layout.tsx'
import type { OrphanView } from './model.ts'
import { paths } from './paths.ts'

/** What SkyPilot shows and no experiment owns: for each, to take it in or to end it. */
export const OrphansPage = ({
  frame,
  orphans,
  ended,
}: {
  frame: Frame
  orphans: readonly OrphanView[]
  /** What somebody just had ended. */
  ended: string | null
}): JSX.Element => (
  <Layout title="Nobody's" frame={frame}>
    <div hx-sse:connect={paths.orphansEvents()} hx-swap="none"></div>
    <p class="crumbs">
      <a href={paths.list()}>Experiments</a> <span aria-hidden="true">/</span> nobody's
    </p>
    <h1>Jobs and clusters that belong to no experiment</h1>
    {ended === null ? null : (
      <p class="notice calm" role="status">
        {ended} is being ended. It stays in the list until SkyPilot shows that it is gone.
      </p>
    )}
    <p class="quiet">
      SkyDeck never touches them by itself. They may cost money; somebody else may need them.
    </p>
    <Orphans orphans={orphans} nowMs={frame.nowMs} />
  </Layout>
)

/** The table, or the good news. */
export const Orphans = ({
  orphans,
  nowMs,
}: {
  orphans: readonly OrphanView[]
  nowMs: number
}): JSX.Element => (
  <div id="orphans">{orphans.length === 0 ? <None /> : <Table orphans={orphans} nowMs={nowMs} />}</div>
)

const None = (): JSX.Element => (
  <div class="empty">
    <h2>Everything belongs to an experiment</h2>
    <p>Jobs and clusters that were made outside SkyDeck would be listed here.</p>
  </div>
)

const Table = ({ orphans, nowMs }: { orphans: readonly OrphanView[]; nowMs: number }): JSX.Element => (
  <>
    <div class="panel scroll">
      <table class="orphans">
        <caption class="hidden">Orphans</caption>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col">Name</th>
            <th scope="col">SkyPilot says</th>
            <th scope="col" class="number">
              First seen
            </th>
            <th scope="col">What to do</th>
          </tr>
        </thead>
        <tbody>
          {orphans.map((orphan, at) => (
            <OrphanRow of={orphan} nowMs={nowMs} at={at} />
          ))}
        </tbody>
      </table>
    </div>
    <p class="pager">{orphans.length} in all</p>
  </>
)

const OrphanRow = ({ of, nowMs, at }: { of: OrphanView; nowMs: number; at: number }): JSX.Element => {
  const what = of.kind === 'job' ? `job ${of.key}` : 'cluster'
  return (
    <tr>
      <td>
        <span class="status orphan">
          <span class="mark" aria-hidden="true">
            ⚠
          </span>
          <span>{what}</span>
        </span>
      </td>
      <th scope="row">{of.name}</th>
      <td>
        <code>{of.status}</code> {of.detail === null ? null : <span class="quiet">{of.detail}</span>}
      </td>
      <td class="number">
        <Age atMs={of.firstSeenAtMs} nowMs={nowMs} />
      </td>
      <td>
        <form method="post" action={paths.adoptOrphan(of.kind, of.key)} class="inline">
          <label class="hidden" for={`into-${at}`}>
            Experiment that takes {of.name} in
          </label>
          <input id={`into-${at}`} name="experiment" required placeholder="experiment" autocomplete="off" />
          <button class="wish running">
            Adopt<span class="hidden"> {of.name}</span>
          </button>
        </form>
        <details>
          <summary>End it</summary>
          <form method="post" action={paths.endOrphan(of.kind, of.key)}>
            <p>
              {of.kind === 'job'
                ? 'Cancels the job, whoever started it.'
                : 'Takes the cluster down with its disk, whoever started it.'}
            </p>
            <button class="wish terminated">
              End {of.kind} {of.name}
            </button>
          </form>
        </details>
      </td>
    </tr>
  )
}
