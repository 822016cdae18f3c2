import type { AttemptIdentity } from './build-task.ts'
import { DEFAULT_POLICY, type Policy } from './policy.ts'
import type { DesiredState, Spec } from './spec.ts'

/** What a person wants now, and who said so. `generation` grows by one with every accepted change of the wish. */
export interface Desired {
  state: DesiredState
  generation: number
  actor: string
  reason: string | null
  atMs: number
}

/** How an attempt ended. `lost` is no end that anybody saw: SkyPilot does not know the job any more. */
export type Outcome = 'succeeded' | 'failed' | 'cancelled' | 'never-started' | 'lost'

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
  /** When this status was first seen. */
  statusSinceMs: number
  details: string | null
  submittedAtMs: number | null
  startedAtMs: number | null
  endedAtMs: number | null
  recoveries: number
  /** When it was first seen running; null before. */
  runningSinceMs: number | null
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
export type Progress = Intended | Requested | Active | Ended

export interface Intended {
  phase: 'intended'
  looksEmpty: number
  /** When the last of them was. */
  emptyAtMs?: number
  unsure: boolean
  settledAtMs: number
  /** Until when a cluster in the making counts as a sign of our launch; absent where none was seen. */
  makingUntilMs?: number
  /** When it was seen so last, after a launch that failed: time in which nobody could look does not count. */
  makingAtMs?: number
  /** SkyPilot forgot the launch: it may be worked on all the same. */
  isForgotten?: boolean
  /** SkyPilot calls the launch failed, and its job may have come to the cluster before that. */
  refusal?: Refusal
  /** When a look showed once more that nobody can, and it was time to do something about it. */
  unseenAtMs?: number
  /** When SkyPilot was asked to abort the request, if it was. */
  abortAskedAtMs?: number
  /** The cluster that looks up would not take the job: it is launched the long way. */
  isExecRefused?: true
}

/** How SkyPilot says that it launched nothing. */
export interface Refusal {
  reason: string
  exceptionName: string | null
}

/**
 * May SkyPilot be working on a launch of it that nobody can follow, or have launched it and called it failed? One whose
 * answer was lost only waits for its turn to be launched, as before: it is looked for then.
 */
export const isInDoubt = ({ isForgotten, makingUntilMs, refusal }: Intended): boolean =>
  isForgotten === true || makingUntilMs !== undefined || refusal !== undefined

export interface Requested {
  phase: 'requested'
  requestId: string
  sinceMs: number
  abortAskedAtMs?: number
  isExecRefused?: true
  /** Of an earlier launch of the attempt. */
  refusal?: Refusal
}

export interface Active {
  phase: 'active'
  jobId: number
  job: JobView
  /** Until when its machines may still go because nobody could see it: it showed itself while they were being stopped. */
  clearingUntilMs?: number
  /** A cancel that was asked for: first, and last. */
  cancel: { sinceMs: number; askedAtMs: number } | null
  verdict: Verdict | null
}

export interface Ended {
  phase: 'ended'
  jobId: number | null
  job: JobView | null
  verdict: Verdict
  /** By our own clock. */
  overAtMs: number
}

/** One launch within a run. */
export interface Attempt {
  run: number
  attempt: number
  jobName: string
  /** The cluster that it is launched on; null for a managed job. */
  clusterName: string | null
  /** Of the experiment's spec when it was launched; the text that was submitted. */
  specRevision: number
  command: string
  createdAtMs: number
  /** False: its job does not ask at the fence, so whatever its exit code is, it is the person's. */
  isFenced?: boolean
  /** SkyDeck did not launch its job, but found it: the limits of a run are not for it. */
  isAdopted?: true
  progress: Progress
  /** The experiment's `revision` when this last changed: what the projection has not seen yet is sent again. */
  changedAt: number
}

/** The experiment's own cluster, as long as it may exist. Gone is only what two complete looks did not show. */
export interface Cluster {
  name: string
  /** SkyPilot's word; null while all we know is that we asked for it. */
  status: string | null
  statusSinceMs: number
  reason: string | null
  /** Whether there may be a disk worth keeping. */
  everUp: boolean
  /** What it was made from (machines and setup): another job of the same recipe needs neither. */
  recipe: string
  launchedAtMs: number | null
  /** As SkyPilot shows it, and as it was asked for last. */
  autostopMinutes: number | null
  autostopAsked: number | null
  /** Why SkyPilot will not have it stop itself as asked; null where it does. */
  autostopRefusal: string | null
  /** Asking for it failed last, so nobody knows what holds; and when it is asked for again. */
  autostopTrouble?: { reason: string; againAtMs: number }
  seenAtMs: number
  /** It was certainly there at this time: a look that began before proves nothing against it. */
  existsSinceMs: number
  looksAbsent: number
  /** What was asked of it last. */
  asked: { verb: ClusterVerb; sinceMs: number; atMs: number } | null
  /** What SkyPilot says that it cannot do to it. */
  refused: { verb: ClusterVerb; reason: string } | null
  /** It was not made for this experiment, and may have others' jobs. */
  isAdopted?: true
  /** When that which is done to it aside is tried again, after it failed. */
  asideAgainAtMs?: number
}

export type ClusterVerb = 'start' | 'stop' | 'down'

/** A live job with our name beside the one that is kept. */
export interface Stray {
  jobId: number
  jobName: string
  /** On which cluster; null for a managed job. */
  clusterName: string | null
}

/** A second live job on its way out. It is kept in the books until it is seen to have ended. */
export interface SecondJob extends Stray {
  /** How often its end was asked for, and when last. */
  asks: number
  askedAtMs: number
}

/** Why a run is over although RUNNING is wanted and another attempt could follow. */
export interface Closing {
  status: 'LIMIT' | 'ADOPTED'
  reason: string
  atMs: number
}

/** Hands off: nothing is done, whatever is wanted, until somebody releases it. */
export interface Hold {
  actor: string
  reason: string | null
  atMs: number
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
  v: 2
  id: number
  name: string
  /** Names that it had: its jobs of those days still carry them. Absent where it was never renamed. */
  formerNames?: string[]
  /** Who created it: starts are shared fairly between owners. */
  owner: string
  spec: Spec
  specRevision: number
  policy: Policy
  desired: Desired
  /** The run that is wanted or was wanted last; 0 before the first. */
  run: number
  runSinceMs: number
  attempt: Attempt | null
  /** Attempts that ended and are not yet in the projection. */
  past: Attempt[]
  /** Attempts of this run in a row that failed before they were healthy. */
  quickFailures: number
  /** Restarts of this run since the last healthy attempt. */
  restarts: number
  closing: Closing | null
  cluster: Cluster | null
  strays: SecondJob[]
  /** Live jobs of somebody else under this experiment's name, while ours is live. Never touched. */
  foreign: Stray[]
  hold: Hold | null
  deleted: boolean
  trouble: Trouble | null
  /** What people were told last, to see when that changes by the clock alone. */
  told: { headline: string; why: string; sinceMs: number }
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
  /** Which kind of error, such as `SkyPilot.unreachable`; null where nothing failed and it only must be tried again. */
  kind: string | null
  reason: string
  failures: number
  /** How many actions have failed in a row, whichever they were: with them grows the pause. Absent: as many as failures. */
  streak?: number
  sinceMs: number
  retryAtMs: number
  /** Of a cancel: the job that was to end. */
  job?: Stray
}

export const EVENTS_KEPT_MAX = 500
export const PAST_KEPT_MAX = 50

export interface Birth {
  id: number
  name: string
  spec: Spec
  policy?: Policy
  actor: string
  atMs: number
}

/** A new experiment. It runs nothing until somebody wishes it. */
export function born({ id, name, spec, policy, actor, atMs }: Birth): Experiment {
  return record(
    {
      v: 2,
      id,
      name,
      owner: actor,
      spec,
      specRevision: 1,
      policy: policy ?? DEFAULT_POLICY,
      desired: { state: 'STOPPED', generation: 0, actor, reason: null, atMs },
      run: 0,
      runSinceMs: atMs,
      attempt: null,
      past: [],
      quickFailures: 0,
      restarts: 0,
      closing: null,
      cluster: null,
      strays: [],
      foreign: [],
      hold: null,
      deleted: false,
      trouble: null,
      told: { headline: '', why: '', sinceMs: atMs },
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

/** The end of the wanted run's last attempt; undefined while there is a live one, or none yet. */
export const endOfRun = ({ run, attempt }: Experiment): Ended | undefined =>
  attempt?.run === run && attempt.progress.phase === 'ended' ? attempt.progress : undefined

/** The name of the experiment's own cluster: the one that exists, or the one that would be made. */
export const clusterNameOf = ({ cluster, name, id }: Experiment): string => cluster?.name ?? `${name}-${id}`

/** Is it the name of a cluster that was made for this experiment, as it is named now or was named before? */
export const isOwnClusterName = ({ name, formerNames = [], id }: Experiment, given: string): boolean =>
  [name, ...formerNames].some((each) => given === `${each}-${id}`)

/** Is it a job on the experiment's own cluster? */
export const isOnCluster = (attempt: Attempt | null): boolean =>
  attempt !== null && attempt.clusterName !== null
