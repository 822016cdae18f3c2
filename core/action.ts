import type { ClusterVerb, Stray } from './experiment.ts'
import type { Priority } from './policy.ts'

/** A cancel that SkyPilot took but that shows no effect is asked for again after this time. */
export const CANCEL_REPEAT_MS = 30_000

/** Between two looks for a launch that may have happened: what is in flight must have time to show itself. */
export const SETTLE_MS = 3_000

/**
 * After SkyPilot forgot a launch it may still be working on it: a server that was killed leaves the processes behind
 * that do the work, and they appear in no table until they are done.
 */
export const FORGOTTEN_SETTLE_MS = 30_000

/** Between two looks while it may still be working. */
export const LOOK_AGAIN_MS = 10_000

/**
 * A cluster that is being made while no request of ours for it is in flight: a killed server may have left the process
 * behind that makes it, and then the job comes too. No launch takes longer than this.
 */
export const MAKING_MAX_MS = 15 * 60_000

/** So fresh must a look be that shows nothing, for machines to be stopped unseen. */
export const UNSEEN_MS = 10_000

/** Between two looks at a cluster that can be neither asked nor stopped. */
export const UNSEEN_LOOK_MS = 5 * 60_000

/** A cluster that stays in the making for longer, although nothing is launched on it, is broken. */
export const BROKEN_MS = 15 * 60_000

/** Looks that must find nothing before an unsure launch counts as never made. */
export const LOOKS_EMPTY_MIN = 2

/** A time after which a cluster stops itself, which could not be set, is asked for again after this. */
export const AUTOSTOP_AGAIN_MS = 5 * 60_000

/** Between two looks at a cluster that should be gone, and before what showed no effect on it is asked for again. */
export const CLUSTER_LOOK_MS = 5_000
export const CLUSTER_REPEAT_MS = 60_000

/** One step towards the desired state. `why` is shown to people, so it is part of the contract. */
export type Action = { why: string } & (
  | { kind: 'launch'; how: 'job' | 'cluster' | 'exec'; priority: Priority }
  | { kind: 'follow'; requestId: string }
  | { kind: 'abort'; requestId: string }
  | { kind: 'look' }
  | { kind: 'cancel'; job: Stray }
  /** `isAside`: it serves no wish of now, and gives way to everything that does. */
  | { kind: 'cluster'; verb: ClusterVerb; name: string; isAside?: true }
  | { kind: 'autostop'; name: string; minutes: number | null }
  | { kind: 'lookAtCluster'; name: string }
  /** Nothing is done outside: time alone has made this true. */
  | { kind: 'conclude'; conclusion: 'limit' | 'drift' }
  | { kind: 'wait'; untilMs: number | null }
  | { kind: 'finish' }
)

export type Step = Exclude<Action, { kind: 'finish' | 'wait' | 'conclude' }>

/** Ending is never cut short: whatever is wanted next begins from what it has left. */
const isUninterruptible = (action: Step): boolean =>
  action.kind === 'cancel' ||
  action.kind === 'autostop' ||
  (action.kind === 'cluster' && action.verb !== 'start' && !action.isAside)

const OF_CLUSTER: ReadonlySet<Action['kind']> = new Set(['cluster', 'lookAtCluster', 'wait'])

/** Has the action that is under way become the wrong one? */
export function isOutdated(action: Step, now: Action): boolean {
  if (isUninterruptible(action)) return false
  if (action.kind === 'cluster' && action.isAside) return !OF_CLUSTER.has(now.kind)
  // A look is short, and what it shows is needed; before there is a job only a second one can be cancelled.
  if (action.kind === 'look' && now.kind === 'cancel') return false
  if (action.kind === 'launch' && now.kind === 'launch') return action.priority !== now.priority
  if (action.kind === 'cluster' && now.kind === 'cluster') return action.verb !== now.verb
  return action.kind !== now.kind
}

export const wait = (why: string, untilMs: number | null = null): Action => ({ kind: 'wait', untilMs, why })
