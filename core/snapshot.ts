import {
  type Attempt,
  type Experiment,
  type JobView,
  type LogEvent,
  NEVER,
  type Verdict,
} from './experiment.ts'
import { explain, type Phase } from './explain.ts'
import type { DesiredState, Spec } from './spec.ts'

/** An attempt as the tables hold it. Times are ms since the epoch. */
export interface AttemptSnapshot {
  run: number
  attempt: number
  jobName: string
  jobId: number | null
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

/** What the workflow hands to the projection: the state as of `revision`, and everything Postgres has not got yet. */
export interface Snapshot {
  id: number
  name: string
  spec: Spec
  specRevision: number
  desiredState: DesiredState
  desiredGeneration: number
  desiredActor: string
  desiredReason: string | null
  desiredAtMs: number
  run: number
  phase: Phase
  why: string
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
  const { phase, why } = explain(state, nowMs)
  const current = state.attempt ? attemptSnapshot(state.attempt) : null
  const all = state.attempt ? [...state.past, state.attempt] : state.past
  return {
    id: state.id,
    name: state.name,
    spec: state.spec,
    specRevision: state.specRevision,
    desiredState: state.desired.state,
    desiredGeneration: state.desired.generation,
    desiredActor: state.desired.actor,
    desiredReason: state.desired.reason,
    desiredAtMs: state.desired.atMs,
    run: state.run,
    phase,
    why,
    status: current?.status ?? null,
    jobId: current?.jobId ?? null,
    exitCode: current?.exitCode ?? null,
    seenAtMs: current?.seenAtMs ?? null,
    deleted: state.deleted,
    revision: state.revision,
    attempts: all.filter((attempt) => attempt.changedAt > state.projected).map(attemptSnapshot),
    events: state.events,
  }
}

function attemptSnapshot(attempt: Attempt): AttemptSnapshot {
  const { progress } = attempt
  const known = progress.phase === 'active' || progress.phase === 'ended' ? progress : null
  return {
    run: attempt.run,
    attempt: attempt.attempt,
    jobName: attempt.jobName,
    jobId: known?.jobId ?? null,
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
