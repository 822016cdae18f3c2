import type { JSX } from 'hono/jsx/jsx-runtime'
import { buildCommand, flagText, sortedFlags } from '../core/build-command.ts'
import { EventList } from './events.tsx'
import { Age, Took } from './format.tsx'
import { type Frame, Layout } from './layout.tsx'
import { LogPanel } from './log.tsx'
import type { AttemptView, EventView, ExperimentView } from './model.ts'
import { paths } from './paths.ts'
import { Status } from './status.tsx'
import { Wish } from './wish.tsx'

export interface DetailProps {
  frame: Frame
  of: ExperimentView
  attempts: readonly AttemptView[]
  events: readonly EventView[]
  workflowUrl: string | null
}

export const DetailPage = (props: DetailProps): JSX.Element => (
  <Layout title={props.of.name} frame={props.frame}>
    <div hx-sse:connect={paths.experimentEvents(props.of.id, props.of.jobId)} hx-swap="none"></div>
    <p class="crumbs">
      <a href={paths.list()}>Experiments</a> <span aria-hidden="true">/</span> {props.of.id}
    </p>
    <Summary {...props} />
    <div class="columns">
      <div>
        <LogPanel experimentId={props.of.id} jobId={props.of.jobId} isLive={isLive(props.of)} />
        <Attempts attempts={props.attempts} nowMs={props.frame.nowMs} />
      </div>
      <div>
        <Config of={props.of} workflowUrl={props.workflowUrl} />
        <EventList events={props.events} nowMs={props.frame.nowMs} />
      </div>
    </div>
  </Layout>
)

export const isLive = ({ phase }: ExperimentView): boolean =>
  ['starting', 'waiting', 'running', 'recovering', 'stopping'].includes(phase)

/** What is wanted, what is seen, since when, and why. */
export const Summary = ({
  of,
  attempts,
  frame,
}: Pick<DetailProps, 'of' | 'attempts' | 'frame'>): JSX.Element => {
  const current = attempts[0]
  return (
    <section id="summary" class="summary" aria-label="Summary">
      <div class="title">
        <h1>{of.name}</h1>
        <Status of={of} />
        <div class="wishes">
          <Wish of={of} state="RUNNING" region="summary" />
          <Wish of={of} state="STOPPED" region="summary" />
          <Wish of={of} state="TERMINATED" region="summary" />
        </div>
      </div>
      <p class="headline">{of.why}</p>
      <dl class="facts">
        <Fact name="wanted">
          {of.desiredState} by {of.desiredActor} <Age atMs={of.desiredAtMs} nowMs={frame.nowMs} />
          {of.desiredReason ? <> · “{of.desiredReason}”</> : null}
        </Fact>
        <Fact name="seen">
          <Seen of={of} frame={frame} />
        </Fact>
        {current ? <Progress of={current} nowMs={frame.nowMs} /> : null}
        {of.description ? <Fact name="about">{of.description}</Fact> : null}
      </dl>
    </section>
  )
}

const Fact = ({ name, children }: { name: string; children?: unknown }): JSX.Element => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)

/** A live job was seen by the last good look at all of them; an ended one when its end was seen. */
const Seen = ({ of, frame }: { of: ExperimentView; frame: Frame }): JSX.Element => {
  const okAtMs = frame.sources.find(({ name }) => name === 'skypilot')?.okAtMs ?? null
  const seenAtMs = isLive(of) && of.jobId !== null ? (okAtMs ?? of.seenAtMs) : of.seenAtMs
  if (seenAtMs === null) return <>no job yet</>
  return (
    <>
      <code>{of.status ?? 'no job'}</code> <Age atMs={seenAtMs} nowMs={frame.nowMs} />
    </>
  )
}

const Progress = ({ of, nowMs }: { of: AttemptView; nowMs: number }): JSX.Element => (
  <>
    <Fact name="run">
      {of.run}
      {of.attempt > 1 ? `, attempt ${of.attempt}` : ''}
      {of.jobId === null ? '' : ` · job ${of.jobId}`}
    </Fact>
    {of.startedAtMs === null ? null : (
      <Fact name={of.endedAtMs === null ? 'running for' : 'ran for'}>
        <Took fromMs={of.startedAtMs} toMs={of.endedAtMs} nowMs={nowMs} />
      </Fact>
    )}
    {of.exitCode === null ? null : <Fact name="exit code">{of.exitCode}</Fact>}
  </>
)

/** Every launch there was, newest first. */
export const Attempts = ({
  attempts,
  nowMs,
}: {
  attempts: readonly AttemptView[]
  nowMs: number
}): JSX.Element => (
  <section id="attempts" class="panel" aria-labelledby="attempts-title">
    <h2 id="attempts-title">Jobs</h2>
    {attempts.length === 0 ? (
      <p class="quiet">It has never been started.</p>
    ) : (
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col" class="number">
                Run
              </th>
              <th scope="col" class="number">
                Job
              </th>
              <th scope="col">SkyPilot says</th>
              <th scope="col" class="number">
                Exit
              </th>
              <th scope="col" class="number">
                Took
              </th>
              <th scope="col" class="number">
                Launched
              </th>
              <th scope="col">What happened</th>
            </tr>
          </thead>
          <tbody>
            {attempts.map((attempt) => (
              <AttemptRow of={attempt} nowMs={nowMs} />
            ))}
          </tbody>
        </table>
      </div>
    )}
  </section>
)

const AttemptRow = ({ of, nowMs }: { of: AttemptView; nowMs: number }): JSX.Element => (
  <tr title={of.command}>
    <td class="number">
      {of.run}
      {of.attempt > 1 ? `.${of.attempt}` : ''}
    </td>
    <td class="number">{of.jobId ?? '–'}</td>
    <td>
      <code>{of.status}</code>
      {of.recoveries > 0 ? ` · recovered ${of.recoveries}×` : ''}
    </td>
    <td class="number">{of.exitCode ?? '–'}</td>
    <td class="number">
      {of.startedAtMs === null ? '–' : <Took fromMs={of.startedAtMs} toMs={of.endedAtMs} nowMs={nowMs} />}
    </td>
    <td class="number">
      <Age atMs={of.createdAtMs} nowMs={nowMs} />
    </td>
    <td class="why">{of.reason ?? of.outcome ?? ''}</td>
  </tr>
)

/** What the next run will be, exactly. */
export const Config = ({
  of,
  workflowUrl,
}: {
  of: ExperimentView
  workflowUrl: string | null
}): JSX.Element => {
  const { line } = buildCommand(of.name, of.spec)
  const flags = sortedFlags(of.spec.flags)
  return (
    <section id="config" class="panel" aria-labelledby="config-title">
      <h2 id="config-title">
        Command <a href={paths.edit(of.id)}>edit</a>
      </h2>
      <pre class="command">{line}</pre>
      <dl class="facts">
        <Fact name="nodes × GPUs">
          {of.spec.nodes} × {of.spec.gpus} {of.spec.accelerator ?? ''}
        </Fact>
        {of.spec.setup ? (
          <Fact name="setup">
            <code>{of.spec.setup}</code>
          </Fact>
        ) : null}
        {flags.map(([key, value]) => (
          <Fact name={key}>
            <code>{flagText(value)}</code>
          </Fact>
        ))}
      </dl>
      <details>
        <summary>From a terminal</summary>
        <pre class="command">
          {`temporal workflow signal --workflow-id experiment-${of.id} \\\n  --name setDesiredState --input '"RUNNING"'`}
        </pre>
        {workflowUrl ? (
          <p>
            <a href={workflowUrl} rel="noreferrer">
              Its history in Temporal ↗
            </a>
          </p>
        ) : null}
      </details>
      <details>
        <summary>Delete</summary>
        <form method="post" action={paths.remove(of.id)}>
          <p>
            Whatever runs is stopped first; the name becomes free. The history stays in the activity list.
          </p>
          <button class="wish terminated">Delete {of.name}</button>
        </form>
      </details>
    </section>
  )
}
