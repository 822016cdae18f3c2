import type { AttemptIdentity } from './build-task.ts'
import type { ClusterVerb, Refusal, Stray } from './experiment.ts'

/** What SkyPilot's queue shows of one job, of the managed queue or of a cluster's. */
export interface Observation {
  jobId: number
  jobName: string
  /** On which cluster; null for a managed job. */
  clusterName: string | null
  status: string
  /** Resources of a managed job are free only at DONE, which comes some seconds after the terminal status. Null on clusters. */
  scheduleState: string | null
  details: string | null
  failureReason: string | null
  submittedAtMs: number | null
  startedAtMs: number | null
  endedAtMs: number | null
  recoveries: number
  seenAtMs: number
}

/** What SkyPilot's list of clusters shows of one. */
export interface ClusterObservation {
  name: string
  status: string
  reason: string | null
  launchedAtMs: number | null
  autostopMinutes: number | null
  seenAtMs: number
}

/** What was sent to SkyPilot with a launch. */
export interface Submitted {
  specRevision: number
  command: string
  recipe: string
}

/** Something learned about the world. Carries all that is needed to believe it. */
export type Fact =
  | { kind: 'launchIntended'; atMs: number }
  /** `isFenced`: whether its job asks at the fence; absent where an earlier launch was found, of which only the id is known. */
  | { kind: 'launchRequested'; requestId: string; isFenced?: boolean; submitted?: Submitted; atMs: number }
  /**
   * `isForgotten`: SkyPilot does not know the request any more, and may work on it all the same. `refusal`: it calls the
   * launch failed, and may have brought the job to the cluster before.
   */
  | { kind: 'launchUnsure'; reason: string; isForgotten?: boolean; refusal?: Refusal; atMs: number }
  /**
   * SkyPilot was asked to abort the launch. What had come of it by then is found by looking. `isForgotten`: it knew of no
   * such request under way, which may be worked on all the same.
   */
  | { kind: 'abortAsked'; isForgotten?: boolean; atMs: number }
  | { kind: 'launchRefused'; reason: string; exceptionName: string | null; atMs: number }
  | { kind: 'lookedEmpty'; atMs: number }
  /** The cluster is being made, by whom nobody can tell: the launch may be the one that makes it. */
  | { kind: 'lookedMaking'; atMs: number }
  | { kind: 'jobFound'; jobId: number; atMs: number }
  /** `isOver`: a look after the asking showed whether the job is over; absent where none was taken. */
  | { kind: 'cancelAsked'; job: Stray; isOver?: boolean; atMs: number }
  | { kind: 'observed'; identity: AttemptIdentity; observation: Observation }
  /** A live job whose name is the experiment's own and which SkyDeck did not launch. */
  | { kind: 'foreignSeen'; observation: Observation }
  /** The job is missing from looks that were complete, at the managed jobs or at those of a cluster. */
  | { kind: 'vanished'; jobId: number; jobName: string; clusterName?: string; atMs: number }
  | { kind: 'clusterAsked'; verb: ClusterVerb; name: string; atMs: number }
  | { kind: 'clusterRefused'; verb: ClusterVerb; name: string; reason: string; atMs: number }
  | { kind: 'autostopAsked'; name: string; minutes: number | null; refusal: string | null; atMs: number }
  | { kind: 'clusterSeen'; cluster: ClusterObservation }
  /** The cluster is missing from a complete look, and no request for it is in flight. */
  | { kind: 'clusterAbsent'; name: string; seenAtMs: number }
  /** A request for the cluster is under way: whether it is there says nothing yet. */
  | { kind: 'clusterBusy'; name: string; atMs: number }
  | { kind: 'concluded'; conclusion: 'limit' | 'drift'; reason: string; atMs: number }
  | { kind: 'told'; headline: string; why: string; atMs: number }
  /** `job`: of a cancel, the one that was to end. */
  | { kind: 'actionFailed'; action: string; errorKind: string; reason: string; job?: Stray; atMs: number }
  | { kind: 'projected'; revision: number; lastSeq: number }

/** What may come from outside as a message; the rest is learned inside a workflow. */
export const FACTS_OF_THE_FLEET = [
  'observed',
  'foreignSeen',
  'vanished',
  'clusterSeen',
  'clusterAbsent',
] as const
