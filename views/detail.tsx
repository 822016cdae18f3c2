import type { JSX } from 'hono/jsx/jsx-runtime'
import { buildCommand, flagText, sortedFlags } from '../core/build-command.ts'
import { sayDuration } from '../core/limits.ts'
import { isLive } from '../core/phases.ts'
import { sourceFor } from '../core/sight.ts'
import { EventList } from './events.tsx'
import { Age, Took } from './format.tsx'
import { Why } from './headline.tsx'
import { type Frame, Layout } from './layout.tsx'
import { LogPanel } from './log.tsx'
import type { AttemptView, EventView, ExperimentView } from './model.ts'
import { paths, type Saved } from './paths.ts'
import { Status } from './status.tsx'
import { Hold, MoreVerbs, Undelete } from './verbs.tsx'
import { Wish } from './wish.tsx'

export interface DetailProps {
  frame: Frame
  of: ExperimentView
  attempts: readonly AttemptView[]
  events: readonly EventView[]
  workflowUrl: string | null
}

/** `refusal`: why the button that was pressed did nothing. */
export const DetailPage = (props: DetailProps & { saved?: Saved; refusal?: string }): JSX.Element => (
  <Layout title={props.of.name} frame={props.frame}>
    <div hx-sse:connect={paths.experimentEvents(props.of.id, props.of.jobKey)} hx-swap="none"></div>
    <p class="crumbs">
      <a href={paths.list()}>Experiments</a> <span aria-hidden="true">/</span> {props.of.id}
    </p>
    {props.refusal === undefined ? null : (
      <p class="notice" role="alert">
        {props.refusal}
      </p>
    )}
    {props.saved ? <WhatWasSaved of={props.saved} /> : null}
    <Summary {...props} />
    <div class="columns">
      <div>
        <LogPanel experimentId={props.of.id} jobKey={props.of.jobKey} isLive={isLive(props.of.phase)} />
        <Attempts attempts={props.attempts} nowMs={props.frame.nowMs} />
      </div>
      <div>
        <Config of={props.of} workflowUrl={props.workflowUrl} />
        <EventList events={props.events} nowMs={props.frame.nowMs} />
        {props.of.deletedAtMs === null ? <MoreVerbs of={props.of} /> : null}
      </div>
    </div>
  </Layout>
)

/** After an edit: what of it holds already, and what waits for the next run. */
const WhatWasSaved = ({ of: { now, nextRun } }: { of: Saved }): JSX.Element | null =>
  now.length + nextRun.length === 0 ? null : (
    <p class="notice calm" role="status">
      Saved.{now.length > 0 ? ` Holds now: ${inWords(now)}.` : ''}
      {nextRun.length > 0
        ? ` Holds from the next run on: ${inWords(nextRun)}. What runs goes on as it is.`
        : ''}
    </p>
  )

const inWords = (fields: readonly string[]): string =>
  fields.map((field) => field.replaceAll('_', ' ')).join(', ')

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
          {of.deletedAtMs === null ? <Wishes of={of} /> : <Undelete id={of.id} name={of.name} />}
        </div>
      </div>
      {of.deletedAtMs === null ? null : (
        <p class="notice calm" role="status">
          Deleted <Age atMs={of.deletedAtMs} nowMs={frame.nowMs} />.{' '}
          {of.phase === 'terminated'
            ? 'Nothing of it is left.'
            : 'What is left of it is being ended, and may cost money until then.'}
        </p>
      )}
      <Why of={of} nowMs={frame.nowMs} />
      <dl class="facts">
        <Fact name="wanted">
          {of.desiredState} by {of.desiredActor} <Age atMs={of.desiredAtMs} nowMs={frame.nowMs} />
          {of.desiredReason ? <> · “{of.desiredReason}”</> : null}
        </Fact>
        <Fact name="seen">
          <Seen of={of} frame={frame} />
        </Fact>
        {current ? <Progress of={current} nowMs={frame.nowMs} /> : null}
        {of.heldBy === null ? null : (
          <Fact name="held">
            by {of.heldBy}
            {of.heldReason ? <> · “{of.heldReason}”</> : null}
          </Fact>
        )}
        {of.clusterName === null ? null : <ClusterFact of={of} nowMs={frame.nowMs} />}
        {of.description ? <Fact name="about">{of.description}</Fact> : null}
      </dl>
    </section>
  )
}

const Wishes = ({ of }: { of: ExperimentView }): JSX.Element => (
  <>
    <Wish of={of} state="RUNNING" region="summary" />
    <Wish of={of} state="STOPPED" region="summary" />
    <Wish of={of} state="TERMINATED" region="summary" />
    <Hold of={of} region="summary" />
  </>
)

const Fact = ({ name, children }: { name: string; children?: unknown }): JSX.Element => (
  <div>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </div>
)

const ClusterFact = ({ of, nowMs }: { of: ExperimentView; nowMs: number }): JSX.Element => (
  <Fact name="cluster">
    {of.clusterName} · <code>{of.clusterStatus ?? 'not seen yet'}</code>
    {of.clusterAutostopMinutes === null ? '' : ` · stops when idle for ${of.clusterAutostopMinutes} min`}
    {of.clusterLaunchedAtMs === null ? null : (
      <>
        {' '}
        · launched <Age atMs={of.clusterLaunchedAtMs} nowMs={nowMs} />
      </>
    )}
  </Fact>
)

/** A live job was seen by the last good look at all of them, or at its cluster; an ended one when its end was seen. */
const Seen = ({ of, frame }: { of: ExperimentView; frame: Frame }): JSX.Element => {
  const okAtMs = sourceFor(frame.sources, of.clusterName)?.okAtMs ?? null
  const seenAtMs = isLive(of.phase) && of.jobId !== null ? (okAtMs ?? of.seenAtMs) : of.seenAtMs
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
    <td class="number" title={of.clusterName === null ? undefined : `on cluster ${of.clusterName}`}>
      {of.jobId ?? '–'}
      {of.clusterName === null ? '' : ' on cluster'}
    </td>
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
        Command {of.deletedAtMs === null ? <a href={paths.edit(of.id)}>edit</a> : null}
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
      <Treatment of={of} />
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
    </section>
  )
}

const RESTARTS = { never: 'never', 'on-failure': 'after a failure', always: 'always' } as const
const DRIFTS = { ask: 'waits for you', heal: 'is started again', stop: 'is left stopped' } as const

/** How it is treated: the policy in words. */
const Treatment = ({ of }: { of: ExperimentView }): JSX.Element => {
  const { restart, maxRunMs, maxAgeMs, priority, drift, autostopMinutes } = of.policy
  const isOnCluster = of.spec.executor === 'cluster'
  return (
    <dl class="facts treatment">
      <Fact name="runs as">{isOnCluster ? 'a cluster of its own' : 'a managed job'}</Fact>
      <Fact name="restarted">
        {RESTARTS[restart.when]}
        {restart.when === 'never' ? '' : `, at most ${restart.maxRestarts}×`}
      </Fact>
      <Fact name="priority">{priority} of 5</Fact>
      {maxRunMs === null ? null : <Fact name="longest run">{sayDuration(maxRunMs)}</Fact>}
      {maxAgeMs === null ? null : <Fact name="longest wait and run">{sayDuration(maxAgeMs)}</Fact>}
      <Fact name="if somebody else ends it, it">{DRIFTS[drift]}</Fact>
      {isOnCluster ? (
        <Fact name="idle cluster">
          {autostopMinutes === null ? 'is kept up' : `stops after ${autostopMinutes} min`}
        </Fact>
      ) : null}
      <Fact name="owner">{of.owner}</Fact>
    </dl>
  )
}
