import type { JSX } from 'hono/jsx/jsx-runtime'
import { Age } from './format.tsx'
import { type Frame, Layout } from './layout.tsx'
import type { QueuedView } from './model.ts'
import { paths } from './paths.ts'

/** What waits for its launch, in the order in which it gets it. */
export const QueuePage = ({ frame, queue }: { frame: Frame; queue: readonly QueuedView[] }): JSX.Element => (
  <Layout title="Start queue" frame={frame}>
    <div hx-sse:connect={paths.queueEvents()} hx-swap="none"></div>
    <p class="crumbs">
      <a href={paths.list()}>Experiments</a> <span aria-hidden="true">/</span> start queue
    </p>
    <h1>Start queue</h1>
    <p class="quiet">
      Launches go out no faster than SkyPilot takes them: by priority (1 is first), then in turn between
      owners, then by age. Change the priority by editing an experiment; it holds at once.
    </p>
    <Queue queue={queue} nowMs={frame.nowMs} />
  </Layout>
)

/** The table, or that there is none. */
export const Queue = ({ queue, nowMs }: { queue: readonly QueuedView[]; nowMs: number }): JSX.Element => (
  <div id="queue">{queue.length === 0 ? <None /> : <Table queue={queue} nowMs={nowMs} />}</div>
)

const None = (): JSX.Element => (
  <div class="empty">
    <h2>Nothing waits for its launch</h2>
    <p>What SkyPilot has taken and holds back for want of room is “waiting” in the list.</p>
  </div>
)

const Table = ({ queue, nowMs }: { queue: readonly QueuedView[]; nowMs: number }): JSX.Element => (
  <>
    <div class="panel scroll">
      <table>
        <caption class="hidden">Start queue</caption>
        <thead>
          <tr>
            <th scope="col" class="number">
              Place
            </th>
            <th scope="col">Experiment</th>
            <th scope="col" class="number">
              Priority
            </th>
            <th scope="col">Owner</th>
            <th scope="col" class="number">
              Waits since
            </th>
            <th scope="col">Why</th>
          </tr>
        </thead>
        <tbody>
          {queue.map((of) => (
            <tr>
              <td class="number">{of.place}</td>
              <th scope="row">
                <a href={paths.experiment(of.id)}>{of.name}</a>
              </th>
              <td class="number">
                <a href={paths.edit(of.id)} title={`Change the priority of ${of.name}`}>
                  {of.priority}
                </a>
              </td>
              <td>{of.owner}</td>
              <td class="number">
                <Age atMs={of.queuedAtMs} nowMs={nowMs} />
              </td>
              <td class="why">{of.why}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
    <p class="pager">
      {queue.length < (queue[0]?.of ?? 0)
        ? `the first ${queue.length} of ${queue[0]?.of ?? 0}`
        : `${queue.length} in all`}
    </p>
  </>
)
