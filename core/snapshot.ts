import {
  type Attempt,
  type Experiment,
  type JobView,
  type LogEvent,
  NEVER,
  type Verdict,
} from './experiment.ts'
import { explain, type Phase } from './explain.ts'
import type { Headline } from './headline.ts'
import type { Policy } from './policy.ts'
import type { DesiredState, Spec } from './spec.ts'

/** An attempt as the tables hold it. Times are ms since the epoch. */
export interface AttemptSnapshot {
  run: number
  attempt: number
  jobName: string
  jobId: number | null
  /** The cluster that it runs or ran on; null for a managed job. */
  clusterName: string | null
  phase: Attempt['progress']['phase']
  status: string
  outcome: string | null
  blame: string | null
  exitCode: number | null
  reason: string | null
  command: string
  specRevision: number
  recoveries: number
  createdAtMs: number
  submittedAtMs: number | null
  startedAtMs: number | null
  endedAtMs: number | null
  seenAtMs: number | null
  revision: number
}

/** The experiment's own cluster as the tables hold it. */
export interface ClusterSnapshot {
  name: string
  status: string | null
  autostopMinutes: number | null
  launchedAtMs: number | null
}

/** What the workflow hands to the projection: the state as of `revision`, and everything Postgres has not got yet. */
export interface Snapshot {
  id: number
  name: string
  spec: Spec
  specRevision: number
  policy: Policy
  owner: string
  desiredState: DesiredState
  desiredGeneration: number
  desiredActor: string
  desiredReason: string | null
  desiredAtMs: number
  run: number
  phase: Phase
  headline: Headline
  headlineSinceMs: number
  why: string
  evidence: string[]
  next: string | null
  nextAtMs: number | null
  /** Who holds it, if it is held. */
  heldBy: string | null
  heldReason: string | null
  /** Since when it waits for its turn to be launched; null when it does not. */
  queuedAtMs: number | null
  cluster: ClusterSnapshot | null
  /** SkyPilot's own word for the job, if there is or was one. */
  status: string | null
  jobId: number | null
  exitCode: number | null
  seenAtMs: number | null
  deleted: boolean
  revision: number
  attempts: AttemptSnapshot[]
  events: LogEvent[]
}

/** The projection's input. Holds only what changed since the last one that is known to have arrived. */
export function snapshotOf(state: Experiment, nowMs: number): Snapshot {
  const current = state.attempt ? attemptSnapshot(state.attempt) : null
  const all = state.attempt ? [...state.past, state.attempt] : state.past
  const { desired } = state
  return {
    id: state.id,
    name: state.name,
    spec: state.spec,
    specRevision: state.specRevision,
    policy: state.policy,
    owner: state.owner,
    desiredState: desired.state,
    desiredGeneration: desired.generation,
    desiredActor: desired.actor,
    desiredReason: desired.reason,
    desiredAtMs: desired.atMs,
    run: state.run,
    ...standing(state, nowMs),
    ...currentColumns(current),
    cluster: state.cluster && {
      name: state.cluster.name,
      status: state.cluster.status,
      autostopMinutes: state.cluster.autostopMinutes,
      launchedAtMs: state.cluster.launchedAtMs,
    },
    deleted: state.deleted,
    revision: state.revision,
    attempts: all.filter((attempt) => attempt.changedAt > state.projected).map(attemptSnapshot),
    events: state.events,
  }
}

function standing(state: Experiment, nowMs: number) {
  const { phase, headline, why, evidence, next, nextAtMs } = explain(state, nowMs)
  const { told, hold } = state
  return {
    phase,
    headline,
    headlineSinceMs: told.headline === headline ? told.sinceMs : nowMs,
    why,
    evidence,
    next,
    nextAtMs,
    heldBy: hold?.actor ?? null,
    heldReason: hold?.reason ?? null,
    queuedAtMs: phase === 'queued' ? (state.attempt?.createdAtMs ?? null) : null,
  }
}

const currentColumns = (current: AttemptSnapshot | null) => ({
  status: current?.status ?? null,
  jobId: current?.jobId ?? null,
  exitCode: current?.exitCode ?? null,
  seenAtMs: current?.seenAtMs ?? null,
})

function attemptSnapshot(attempt: Attempt): AttemptSnapshot {
  const { progress } = attempt
  const known = progress.phase === 'active' || progress.phase === 'ended' ? progress : null
  return {
    run: attempt.run,
    attempt: attempt.attempt,
    jobName: attempt.jobName,
    jobId: known?.jobId ?? null,
    clusterName: attempt.clusterName,
    phase: progress.phase,
    ...jobColumns(known?.job ?? null),
    ...endColumns(known?.verdict ?? null, known?.job ?? null),
    command: attempt.command,
    specRevision: attempt.specRevision,
    createdAtMs: attempt.createdAtMs,
    revision: attempt.changedAt,
  }
}

const jobColumns = (job: JobView | null) => ({
  submittedAtMs: job?.submittedAtMs ?? null,
  startedAtMs: job?.startedAtMs ?? null,
  seenAtMs: job === null || job.seenAtMs === NEVER ? null : job.seenAtMs,
  recoveries: job?.recoveries ?? 0,
})

const NO_VERDICT = { outcome: null, blame: null, exitCode: null, reason: null }

function endColumns(verdict: Verdict | null, job: JobView | null) {
  if (!verdict) return { ...NO_VERDICT, status: job?.status ?? 'LAUNCHING', endedAtMs: null }
  const { outcome, blame, exitCode, reason, status } = verdict
  return { outcome, blame, exitCode, reason, status, endedAtMs: job?.endedAtMs ?? verdict.atMs }
}
