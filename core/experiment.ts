import type { AttemptIdentity } from './build-task.ts'
import type { DesiredState, Spec } from './spec.ts'

/** What a person wants now, and who said so. `generation` grows by one with every accepted change of the wish. */
export interface Desired {
  state: DesiredState
  generation: number
  actor: string
  reason: string | null
  atMs: number
}

export type Outcome = 'succeeded' | 'failed' | 'cancelled' | 'never-started'

/** Whose fault an end is: the person's code, the machines and limits around it, nobody's. */
export type Blame = 'code' | 'infrastructure' | 'none'

/** The first terminal news of a job. Kept for ever: later news are about the clean-up, not about the outcome. */
export interface Verdict {
  outcome: Outcome
  blame: Blame
  /** SkyPilot's own word, or SkyDeck's where there never was a job. */
  status: string
  exitCode: number | null
  reason: string | null
  atMs: number
}

/** What SkyPilot last told about the job. */
export interface JobView {
  status: string
  details: string | null
  submittedAtMs: number | null
  startedAtMs: number | null
  endedAtMs: number | null
  recoveries: number
  /** When SkyDeck saw it, by the worker's clock; NEVER before the first look. */
  seenAtMs: number
}

export const NEVER = 0

/**
 * How far an attempt has come. A union, so that "two jobs" cannot be written down.
 * - `intended`: its identity is fixed and a launch may or may not have reached SkyPilot; `unsure` once one was lost
 * - `requested`: SkyPilot took the launch and works on it
 * - `active`: a job exists; it may be stopping, or have its verdict and still be cleaning up
 * - `ended`: nothing of it is left
 */
export type Progress =
  | { phase: 'intended'; looksEmpty: number; unsure: boolean }
  | { phase: 'requested'; requestId: string }
  | { phase: 'active'; jobId: number; job: JobView; cancelAskedAtMs: number | null; verdict: Verdict | null }
  | { phase: 'ended'; jobId: number | null; job: JobView | null; verdict: Verdict }

/** One launch within a run. */
export interface Attempt {
  run: number
  attempt: number
  jobName: string
  /** Of the experiment's spec when it was launched; the text that was submitted. */
  specRevision: number
  command: string
  createdAtMs: number
  progress: Progress
  /** The experiment's `revision` when this last changed: what the projection has not seen yet is sent again. */
  changedAt: number
}

/** One line of the append-only log, waiting until Postgres has it. */
export interface LogEvent {
  seq: number
  atMs: number
  kind: string
  actor: string
  text: string
  detail: Record<string, string | number | boolean | null>
}

/** The whole truth about one experiment: the argument and the state of its workflow. Plain JSON. */
export interface Experiment {
  v: 1
  id: number
  name: string
  spec: Spec
  specRevision: number
  desired: Desired
  /** The run that is wanted or was wanted last; 0 before the first. */
  run: number
  attempt: Attempt | null
  /** Attempts that ended and are not yet in the projection. */
  past: Attempt[]
  /** Live jobs with our name beside the one we keep; the younger ones, to be cancelled. */
  strays: number[]
  deleted: boolean
  trouble: Trouble | null
  /** Grows with every change; a projection never replaces a newer revision by an older one. */
  revision: number
  /** The last revision that Postgres is known to have. */
  projected: number
  events: LogEvent[]
  nextSeq: number
  /** Messages that made no sense, counted instead of trusted. */
  badMessages: number
  lastRefusal: string | null
}

/** An action that failed, and when it is tried again. */
export interface Trouble {
  action: string
  reason: string
  failures: number
  retryAtMs: number
}

export const EVENTS_KEPT_MAX = 500
export const PAST_KEPT_MAX = 50

/** A new experiment. It runs nothing until somebody wishes it. */
export function born(given: {
  id: number
  name: string
  spec: Spec
  actor: string
  atMs: number
}): Experiment {
  const { id, name, spec, actor, atMs } = given
  return record(
    {
      v: 1,
      id,
      name,
      spec,
      specRevision: 1,
      desired: { state: 'STOPPED', generation: 0, actor, reason: null, atMs },
      run: 0,
      attempt: null,
      past: [],
      strays: [],
      deleted: false,
      trouble: null,
      revision: 0,
      projected: 0,
      events: [],
      nextSeq: 1,
      badMessages: 0,
      lastRefusal: null,
    },
    { atMs, kind: 'created', actor, text: 'created', detail: {} },
  )
}

/** Adds a line to the log and moves the revision on. */
export function record(state: Experiment, event: Omit<LogEvent, 'seq'>): Experiment {
  return {
    ...state,
    revision: state.revision + 1,
    nextSeq: state.nextSeq + 1,
    events: [...state.events, { seq: state.nextSeq, ...event }].slice(-EVENTS_KEPT_MAX),
  }
}

export const identityOf = (state: Experiment, attempt: Attempt): AttemptIdentity => ({
  experimentId: state.id,
  name: state.name,
  run: attempt.run,
  attempt: attempt.attempt,
})

/** The attempt while a job or a request of it may exist, else null. Nothing is launched beside it. */
export const liveAttempt = ({ attempt }: Experiment): Attempt | null =>
  attempt !== null && attempt.progress.phase !== 'ended' ? attempt : null

/** True when the run that was asked for last has come to its end, one way or another. */
export const isRunOver = (state: Experiment): boolean =>
  state.attempt?.run === state.run && state.attempt.progress.phase === 'ended'
