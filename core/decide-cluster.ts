import { type Action, BROKEN_MS, CLUSTER_LOOK_MS, CLUSTER_REPEAT_MS, wait } from './action.ts'
import { type Cluster, type Experiment, isOnCluster, liveAttempt } from './experiment.ts'
import { recipeOf } from './recipe.ts'
import { isRunOver } from './restart.ts'

/** What to do with the experiment's own cluster, when there is something to do. */
export function decideCluster(state: Experiment, nowMs: number): Action | undefined {
  const { cluster } = state
  if (!cluster) return undefined
  if (state.deleted) return goingDown(cluster, 'the experiment is being deleted', nowMs)
  switch (state.desired.state) {
    case 'TERMINATED':
      return goingDown(cluster, 'TERMINATED is wanted', nowMs)
    case 'STOPPED':
      return stopping(cluster, 'STOPPED is wanted', nowMs)
    case 'RUNNING':
      if (isAside(state, cluster)) return leaving(state, cluster, nowMs)
      return isLeftBroken(state, cluster, nowMs) ? clearing(cluster, nowMs) : adjusting(state, cluster, nowMs)
  }
}

/** Statuses of a cluster that stops itself, has stopped, or does so now. */
const SELF_STOPPING: ReadonlySet<string> = new Set(['UP', 'STOPPED', 'AUTOSTOPPING'])

/**
 * Nothing more comes of the run, and its cluster is in no state to stop itself: a launch that came to nothing left it
 * half made, or it broke and did not come back, and SkyPilot has forgotten when it was to stop itself.
 */
function isLeftBroken(state: Experiment, cluster: Cluster, nowMs: number): boolean {
  const { status, statusSinceMs, isAdopted } = cluster
  if (!isRunOver(state) || isAdopted || (status !== null && SELF_STOPPING.has(status))) return false
  const progress = state.attempt?.progress
  const isHalfMade = progress?.phase === 'ended' && progress.jobId === null
  return isHalfMade || nowMs >= statusSinceMs + BROKEN_MS
}

/** What nobody has seen is looked at first. */
const clearing = (cluster: Cluster, nowMs: number): Action | undefined =>
  cluster.status === null && cluster.asked === null
    ? looking(cluster, nowMs, cluster.seenAtMs, 'is anything left of it?')
    : stopping(cluster, 'the run is over', nowMs)

/**
 * A cluster that can neither be asked for its jobs nor is at rest. Where it cannot be stopped there is nothing to be done,
 * and an adopted one may have others' jobs, so that only a person can say that it shall be.
 */
export function clearUnseen({ cluster, deleted, desired }: Experiment, nowMs: number): Action | undefined {
  if (!cluster) return undefined
  const because = 'SkyPilot calls the launch failed, and nobody can see whether its job runs all the same'
  if (deleted || desired.state === 'TERMINATED') return goingDown(cluster, because, nowMs)
  const isKept = cluster.refused?.verb === 'stop' || (cluster.isAdopted && desired.state === 'RUNNING')
  return isKept ? undefined : stopping(cluster, because, nowMs)
}

/** It was made for jobs of ours, and those are managed ones now. An adopted cluster may have others' jobs: it is kept. */
export const isAside = (state: Experiment, { isAdopted }: Cluster): boolean =>
  state.desired.state === 'RUNNING' &&
  !state.deleted &&
  state.spec.executor === 'managed' &&
  !isOnCluster(liveAttempt(state)) &&
  !isAdopted

/** What is not used any more is not paid for. Whatever comes of that holds up nothing, and is told beside what runs. */
function leaving(state: Experiment, cluster: Cluster, nowMs: number): Action | undefined {
  const { name, refused, asideAgainAtMs = nowMs } = cluster
  if (nowMs < asideAgainAtMs)
    return wait(`cluster ${name} is not used any more; its end failed`, asideAgainAtMs)
  if (refused && refused.verb !== 'start') return adjusting(state, cluster, nowMs)
  const action = stopping(cluster, 'it is not used any more', nowMs)
  if (action?.kind !== 'cluster') return action
  const doing = action.verb === 'stop' ? 'stopping' : 'taking down'
  return { ...action, isAside: true, why: `jobs are managed ones now; ${doing} cluster ${name}` }
}

/** No job lives on a cluster that is stopped, and none can be cancelled there: a look at the cluster ends it. */
export function endOnStoppedCluster({ cluster }: Experiment, nowMs: number): Action | undefined {
  return cluster?.status === 'STOPPED'
    ? looking(cluster, nowMs, cluster.seenAtMs, 'is it still stopped?')
    : undefined
}

/** Down, and then looked for twice: gone is only what two looks did not show. */
function goingDown(cluster: Cluster, because: string, nowMs: number): Action {
  const { name, asked, looksAbsent } = cluster
  if (asked?.verb !== 'down' || isUnheeded(cluster, nowMs))
    return { kind: 'cluster', verb: 'down', name, why: `${because}; taking cluster ${name} down` }
  const sinceMs = Math.max(asked.atMs, cluster.seenAtMs)
  return looking(cluster, nowMs, sinceMs, looksAbsent === 0 ? 'is it gone?' : 'is it gone for good?')
}

/** Machines are stopped where there is a disk to keep; what never came up is taken down. */
function stopping(cluster: Cluster, because: string, nowMs: number): Action | undefined {
  const { name, status, refused } = cluster
  if (!cluster.everUp) return goingDown(cluster, `${because} and it never came up`, nowMs)
  if (status === 'STOPPED') return undefined
  if (refused?.verb === 'stop')
    return wait(`cluster ${name} cannot be stopped, its machines are still up: ${refused.reason}`)
  if (cluster.asked?.verb !== 'stop' || isUnheeded(cluster, nowMs))
    return { kind: 'cluster', verb: 'stop', name, why: `${because}; stopping cluster ${name}` }
  return looking(cluster, nowMs, Math.max(cluster.asked.atMs, cluster.seenAtMs), 'has it stopped?')
}

/** While it runs, or rests between two jobs: the time after which it stops itself is kept as it is wanted. */
function adjusting(state: Experiment, cluster: Cluster, nowMs: number): Action | undefined {
  const minutes = state.policy.autostopMinutes
  const { status, autostopAsked, autostopTrouble: trouble } = cluster
  if (status !== 'UP' || nowMs < (trouble?.againAtMs ?? nowMs)) return undefined
  if (!trouble && autostopAsked === minutes) return undefined
  if (liveAttempt(state)?.progress.phase === 'requested') return undefined
  const when = minutes === null ? 'never' : `after ${minutes} min without a job`
  return { kind: 'autostop', name: cluster.name, minutes, why: `the cluster shall stop itself ${when}` }
}

/** Asked for, and seen since without the effect that was asked for. */
const isUnheeded = ({ asked, seenAtMs, looksAbsent }: Cluster, nowMs: number): boolean =>
  asked !== null && looksAbsent === 0 && seenAtMs > asked.atMs && nowMs >= asked.atMs + CLUSTER_REPEAT_MS

function looking(cluster: Cluster, nowMs: number, sinceMs: number, question: string): Action {
  const dueAtMs = sinceMs + CLUSTER_LOOK_MS
  const why = `looking at cluster ${cluster.name}: ${question}`
  return nowMs >= dueAtMs ? { kind: 'lookAtCluster', name: cluster.name, why } : wait(why, dueAtMs)
}

const isSameRecipe = (state: Experiment, cluster: Cluster): boolean => cluster.recipe === recipeOf(state.spec)

/** A cluster that is up and made of the same recipe takes a job without provisioning and setup. */
export function isReadyForExec(state: Experiment): boolean {
  const progress = state.attempt?.progress
  const isRefused = progress?.phase === 'intended' && progress.isExecRefused === true
  return !isRefused && state.cluster?.status === 'UP' && isSameRecipe(state, state.cluster)
}

/** What must happen to the cluster before a job can be launched on it. */
export function mustStartFirst(state: Experiment): Action | undefined {
  const { cluster } = state
  if (!cluster) return undefined
  if (cluster.status === 'AUTOSTOPPING')
    return wait('the cluster is stopping itself; it is started again after that')
  if (cluster.status !== 'STOPPED' || !isSameRecipe(state, cluster)) return undefined
  return { kind: 'cluster', verb: 'start', name: cluster.name, why: `starting cluster ${cluster.name} again` }
}
