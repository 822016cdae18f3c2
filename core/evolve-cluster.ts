import { AUTOSTOP_AGAIN_MS, CLUSTER_LOOK_MS, CLUSTER_REPEAT_MS, LOOKS_EMPTY_MIN } from './action.ts'
import {
  type Cluster,
  clusterNameOf,
  type ClusterVerb,
  type Experiment,
  isOnCluster,
  isOwnClusterName,
  liveAttempt,
  NEVER,
  type Verdict,
} from './experiment.ts'
import type { ClusterObservation, Fact } from './facts.ts'
import { whyUnwanted } from './decide.ts'
import { isAside } from './decide-cluster.ts'
import { refusedBy } from './job-status.ts'
import { calm, end, log } from './progress.ts'
import { recipeOf } from './recipe.ts'

const blank = (state: Experiment, name: string, atMs: number): Cluster => ({
  name,
  status: null,
  statusSinceMs: atMs,
  reason: null,
  everUp: false,
  recipe: recipeOf(state.spec),
  launchedAtMs: null,
  autostopMinutes: null,
  autostopAsked: null,
  autostopRefusal: null,
  seenAtMs: NEVER,
  existsSinceMs: NEVER,
  looksAbsent: 0,
  asked: null,
  refused: null,
})

/**
 * From the intent to launch on, the cluster may exist. What was asked of it before is void: it is wanted again. When it
 * shall stop itself is told once it is up, for a cloud that cannot do that must not refuse the launch because of it.
 */
export function intendCluster(state: Experiment, atMs: number): Experiment {
  const cluster = state.cluster ?? blank(state, clusterNameOf(state), atMs)
  const isUp = cluster.status === 'UP'
  return {
    ...state,
    cluster: {
      ...(isUp ? cluster : withoutAutostopTrouble(cluster)),
      status: isUp ? cluster.status : null,
      recipe: recipeOf(state.spec),
      autostopAsked: isUp ? cluster.autostopAsked : null,
      looksAbsent: 0,
      asked: null,
      refused: null,
    },
  }
}

/** Whatever was asked of machines that are at rest, or are made anew, is asked anew of the next. */
export function withoutAutostopTrouble(cluster: Cluster): Cluster {
  const { autostopTrouble: _trouble, ...kept } = cluster
  return kept
}

/** A job on the cluster proves that it is there, and was up. */
export function foundOnCluster(state: Experiment, atMs: number): Experiment {
  const { cluster, desired, deleted } = state
  if (!cluster) return state
  // Where the job is wanted, what was asked before because nobody could see it is void.
  const isVoid = desired.state === 'RUNNING' && !deleted && atMs > (cluster.asked?.atMs ?? atMs)
  const asked = isVoid ? null : cluster.asked
  return { ...state, cluster: { ...cluster, asked, everUp: true, existsSinceMs: atMs } }
}

/** A job of ours was found on a cluster that we had not in our books. */
export const adoptOnCluster = (state: Experiment, name: string, atMs: number): Experiment =>
  foundOnCluster({ ...state, cluster: state.cluster ?? blank(state, name, atMs) }, atMs)

export function clusterAsked(state: Experiment, fact: Extract<Fact, { kind: 'clusterAsked' }>): Experiment {
  const { verb, name, atMs } = fact
  const { cluster } = state
  if (cluster?.name !== name) return state
  const sinceMs = cluster.asked?.verb === verb ? cluster.asked.sinceMs : atMs
  // From then on it is not what it was, also where nobody waited for what comes of it.
  const status = verb === 'start' ? null : cluster.status
  const asked = { verb, sinceMs, atMs }
  const next = { ...calm(state), cluster: { ...cluster, status, asked, looksAbsent: 0 } }
  return log(next, atMs, `cluster-${verb}`, `asked SkyPilot to ${SAY[verb]} cluster ${name}`)
}

const SAY: Readonly<Record<ClusterVerb, string>> = { start: 'start', stop: 'stop', down: 'take down' }

export function clusterRefused(
  state: Experiment,
  fact: Extract<Fact, { kind: 'clusterRefused' }>,
): Experiment {
  const { verb, name, reason, atMs } = fact
  const { cluster } = state
  if (cluster?.name !== name) return state
  // A start that is refused is no end: the launch of a job starts it too, and tells what is wrong.
  const status = verb === 'start' ? null : cluster.status
  const trouble = {
    action: 'cluster',
    kind: null,
    reason,
    failures: 0,
    sinceMs: atMs,
    retryAtMs: atMs + CLUSTER_REPEAT_MS,
  }
  const isWaiting = verb === 'down' && !isAside(state, cluster)
  const next = {
    ...state,
    trouble: isWaiting ? trouble : isAside(state, cluster) ? state.trouble : null,
    cluster: { ...cluster, status, refused: { verb, reason } },
  }
  return log(next, atMs, 'cluster-refused', `SkyPilot cannot ${SAY[verb]} cluster ${name}: ${reason}`)
}

/** What is done aside failed: it is tried again after a while, and nothing else waits for that. */
export function asideFailed(
  state: Experiment,
  cluster: Cluster,
  { action, reason, atMs }: Extract<Fact, { kind: 'actionFailed' }>,
): Experiment {
  const isNews = cluster.asideAgainAtMs === undefined
  const next = { ...state, cluster: { ...cluster, asideAgainAtMs: atMs + CLUSTER_REPEAT_MS } }
  return isNews
    ? log(next, atMs, 'action-failed', `${action} failed: ${reason}`)
    : { ...next, revision: state.revision + 1 }
}

export function clusterSeen(state: Experiment, seen: ClusterObservation): Experiment {
  const { cluster } = state
  if (cluster === null) return resurrected(state, seen)
  if (cluster.name !== seen.name || seen.seenAtMs < cluster.seenAtMs) return state
  const isSameStatus = cluster.status === seen.status
  const next: Cluster = {
    ...(seen.status === 'STOPPED' ? withoutAutostopTrouble(cluster) : cluster),
    status: seen.status,
    statusSinceMs: isSameStatus ? cluster.statusSinceMs : seen.seenAtMs,
    reason: seen.reason,
    everUp: cluster.everUp || seen.status === 'UP' || seen.status === 'STOPPED',
    launchedAtMs: seen.launchedAtMs ?? cluster.launchedAtMs,
    autostopMinutes: seen.autostopMinutes,
    autostopAsked: isSwitchedOff(cluster, seen) ? seen.autostopMinutes : cluster.autostopAsked,
    seenAtMs: seen.seenAtMs,
    looksAbsent: 0,
    asked: askedStill(state, cluster, seen),
  }
  const moved = { ...state, revision: state.revision + 1, cluster: next }
  if (isSameStatus) return afterStatus(moved, seen)
  const text = `cluster ${seen.name}: ${cluster.status ?? 'asked for'} → ${seen.status}`
  return afterStatus(log(calm(moved), seen.seenAtMs, 'cluster-observed', text), seen)
}

/** Up after it was asked to stop, with a job on it that is wanted: what comes of it later is not of our asking. */
function askedStill(state: Experiment, { asked }: Cluster, seen: ClusterObservation): Cluster['asked'] {
  const live = liveAttempt(state)
  if (asked === null || seen.status !== 'UP' || seen.seenAtMs <= asked.atMs) return asked
  if (live?.clusterName !== seen.name || live.progress.phase !== 'active') return asked
  return whyUnwanted(state, live) === undefined ? null : asked
}

/**
 * It was seen to stop itself as it was asked to, and does not any more: SkyPilot forgets that where a cluster looks
 * broken (`_update_cluster_status`), and somebody else may have changed it.
 */
const isSwitchedOff = (cluster: Cluster, seen: ClusterObservation): boolean =>
  cluster.autostopRefusal === null &&
  cluster.autostopMinutes === cluster.autostopAsked &&
  seen.autostopMinutes !== cluster.autostopAsked

/** Ours, and believed to be gone: a launch that nobody knew of any more came through after all. */
function resurrected(state: Experiment, seen: ClusterObservation): Experiment {
  const isOurs = isOwnClusterName(state, seen.name) || state.attempt?.clusterName === seen.name
  if (!isOnCluster(state.attempt) || !isOurs) return state
  const text = `cluster ${seen.name} is there again`
  const cluster = blank(state, seen.name, seen.seenAtMs)
  return clusterSeen(log({ ...state, cluster }, seen.seenAtMs, 'drift', text), seen)
}

/** A cluster whose machines were stopped runs nothing any more. */
function afterStatus(moved: Experiment, seen: ClusterObservation): Experiment {
  if (seen.status !== 'STOPPED') return moved
  const state = { ...moved, strays: moved.strays.filter(({ clusterName }) => clusterName !== seen.name) }
  const live = liveAttempt(state)
  if (!live || !isOnCluster(live) || live.progress.phase !== 'active') return state
  if (seen.seenAtMs <= (state.cluster?.existsSinceMs ?? NEVER)) return state
  return end(
    state,
    endWithCluster(state, 'CLUSTER_STOPPED', 'the cluster was stopped under it', seen.seenAtMs),
    seen.seenAtMs,
  )
}

/** Between two looks that count as two in a row. */
const ABSENCE_IN_ROW_MS = 600_000

/** Absence counts only where it was to be expected, or is seen again: a cluster shows itself some seconds after its launch. */
export function clusterAbsent(state: Experiment, name: string, seenAtMs: number): Experiment {
  const { cluster } = state
  if (cluster?.name !== name || seenAtMs <= Math.max(cluster.seenAtMs, cluster.existsSinceMs)) return state
  const live = liveAttempt(state)
  const isLaunching = live !== null && isOnCluster(live) && live.progress.phase !== 'active'
  if (isLaunching && cluster.asked?.verb !== 'down') return state
  // One look that left it out and another long after are no two looks in a row.
  const isInRow = seenAtMs - cluster.seenAtMs < ABSENCE_IN_ROW_MS
  const looksAbsent = isInRow ? cluster.looksAbsent + 1 : 1
  const seen = { ...state, revision: state.revision + 1, cluster: { ...cluster, looksAbsent, seenAtMs } }
  return looksAbsent < LOOKS_EMPTY_MIN ? seen : gone(seen, cluster, seenAtMs)
}

/** Nothing is concluded while something is under way, and it is looked at again after a while. */
export function clusterBusy(state: Experiment, name: string, atMs: number): Experiment {
  if (state.cluster?.name !== name) return state
  const reason = `a request for cluster ${name} is still under way`
  const retryAtMs = atMs + CLUSTER_LOOK_MS
  return {
    ...state,
    revision: state.revision + 1,
    trouble: { action: 'look at the cluster', kind: null, reason, failures: 0, sinceMs: atMs, retryAtMs },
  }
}

function gone(state: Experiment, { name, asked }: Cluster, atMs: number): Experiment {
  const live = liveAttempt(state)
  const ended = isOnCluster(live)
    ? end(state, endWithCluster(state, 'CLUSTER_GONE', 'the cluster is gone, and not by SkyDeck', atMs), atMs)
    : state
  const text = `cluster ${name} is gone${asked?.verb === 'down' ? '' : ', and not by SkyDeck'}`
  const strays = state.strays.filter(({ clusterName }) => clusterName !== name)
  return {
    ...log(calm(ended), atMs, asked?.verb === 'down' ? 'cluster-gone' : 'drift', text),
    strays,
    cluster: null,
  }
}

/** How a job ends whose machines went: by our own doing where we asked for that, else by somebody else's. */
function endWithCluster(state: Experiment, status: string, reason: string, atMs: number): Verdict {
  const { attempt } = state
  const progress = attempt?.progress
  if (progress?.phase === 'intended' && progress.refusal) return refusedBy(progress.refusal, atMs)
  const failed = { outcome: 'failed', blame: 'infrastructure', exitCode: null, atMs } as const
  if (!isOurDoing(state, atMs)) return { ...failed, status, reason }
  // It showed itself when its machines were on their way out already.
  const isWanted = attempt !== null && whyUnwanted(state, attempt) === undefined
  return isWanted ? { ...failed, ...UNSEEN } : { ...ENDED_WITH_CLUSTER, atMs }
}

const UNSEEN = {
  status: 'STOPPED_UNSEEN',
  reason: 'SkyDeck stopped the cluster, for nobody could see the job',
} as const
const ENDED_WITH_CLUSTER = {
  outcome: 'cancelled',
  blame: 'none',
  status: 'STOPPED',
  exitCode: null,
  reason: 'ended with its cluster',
} as const

function isOurDoing({ cluster, attempt }: Experiment, atMs: number): boolean {
  const progress = attempt?.progress
  const isClearing = progress?.phase === 'active' && atMs < (progress.clearingUntilMs ?? NEVER)
  return isClearing || (cluster?.asked != null && cluster.asked.verb !== 'start')
}

/**
 * That it stops itself could not be asked for, or the answer was lost: whatever was asked for before may not hold any more.
 * It is asked for again after a while, whatever is wanted then, and nothing else waits for that.
 */
export function autostopFailed(
  state: Experiment,
  cluster: Cluster,
  { reason, atMs }: Extract<Fact, { kind: 'actionFailed' }>,
): Experiment {
  const autostopTrouble = { reason, againAtMs: atMs + AUTOSTOP_AGAIN_MS }
  const next = { ...state, cluster: { ...cluster, autostopTrouble } }
  return cluster.autostopTrouble?.reason === reason
    ? { ...next, revision: state.revision + 1 }
    : log(next, atMs, 'action-failed', `that the cluster stops itself could not be asked for: ${reason}`)
}

/** SkyPilot took a new time after which the cluster stops itself, or refused it: either way it is not asked for again. */
export function autostopAsked(state: Experiment, fact: Extract<Fact, { kind: 'autostopAsked' }>): Experiment {
  const { name, minutes, refusal, atMs } = fact
  const { cluster } = state
  if (cluster?.name !== name) return state
  const asked = { autostopAsked: minutes, autostopRefusal: refusal }
  const next = { ...calm(state), cluster: { ...withoutAutostopTrouble(cluster), ...asked } }
  const when = minutes === null ? 'never' : `after ${minutes} min without a job`
  const text = `the cluster stops itself ${when}`
  return log(next, atMs, 'autostop', refusal === null ? text : `SkyPilot refuses that ${text}: ${refusal}`)
}
