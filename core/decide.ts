import { type Action, CANCEL_REPEAT_MS, LOOK_AGAIN_MS, UNSEEN_MS, wait } from './action.ts'
import {
  clearUnseen,
  decideCluster,
  endOnStoppedCluster,
  isReadyForExec,
  mustStartFirst,
} from './decide-cluster.ts'
import {
  type Active,
  type Attempt,
  type Cluster,
  type Experiment,
  type Intended,
  isOnCluster,
  liveAttempt,
  NEVER,
  type SecondJob,
  type Trouble,
} from './experiment.ts'
import { sayVerdict } from './job-status.ts'
import { whyOverLimit } from './limits.ts'
import { sequelOf } from './restart.ts'

/** So many cancels that do not get through to a cluster, and the cluster itself is stopped. */
const CANCELS_FAILED_MAX = 2

/** So many looks that do not get through, and what cannot be seen is stopped or taken down unseen. */
const LOOKS_FAILED_MAX = 2

/**
 * Picks the next action from state and clock alone, with no memory of which event woke us.
 * It is asked again after every change, so each answer needs to be right only for this instant.
 */
export function decide(state: Experiment, nowMs: number): Action {
  if (state.hold && !state.deleted) return wait(sayHold(state.hold))
  if (state.trouble && nowMs < state.trouble.retryAtMs && !isOfSecondJob(state, state.trouble))
    return wait(sayTrouble(state), state.trouble.retryAtMs)
  const second = endSecondJob(state, nowMs)
  if (second) return second
  const limit = whyOverLimit(state, nowMs)
  if (limit !== undefined) return { kind: 'conclude', conclusion: 'limit', why: limit }
  const live = liveAttempt(state)
  return live ? decideLive(state, live, nowMs) : decideIdle(state, nowMs)
}

/** A second job goes first, unless it ends with the cluster that is to end anyway. */
function endSecondJob(state: Experiment, nowMs: number): Action | undefined {
  const second = state.strays.find(
    (job) =>
      nowMs >= dueAtMs(job) &&
      !(job.clusterName !== null && job.clusterName === state.cluster?.name && endsWithCluster(state)),
  )
  if (!second) return undefined
  const { jobId, jobName, clusterName } = second
  const why = second.asks === 0 ? 'was seen; only one may live' : 'is still there, asking again'
  return { kind: 'cancel', job: { jobId, jobName, clusterName }, why: `a second job ${jobId} ${why}` }
}

/** A second job has a time of its own when its end is asked for again: nothing else waits for that. */
const isOfSecondJob = ({ strays }: Experiment, { job }: Trouble): boolean =>
  strays.some(({ jobId, clusterName }) => jobId === job?.jobId && clusterName === job.clusterName)

const dueAtMs = ({ askedAtMs }: SecondJob): number =>
  askedAtMs === NEVER ? NEVER : askedAtMs + CANCEL_REPEAT_MS

/** When the end of a second job is asked for again; null where there is none. */
export const nextStrayMs = ({ strays }: Experiment): number | null =>
  strays.length === 0 ? null : Math.min(...strays.map(dueAtMs))

const sayHold = ({ actor, reason }: NonNullable<Experiment['hold']>): string =>
  `hands off: held by ${actor}${reason === null ? '' : `: ${reason}`}`

const sayTrouble = ({ trouble }: Experiment): string =>
  trouble?.kind === null ? trouble.reason : `${trouble?.action} failed, trying again: ${trouble?.reason}`

/** Nothing of ours is live. A cluster may be. */
function decideIdle(state: Experiment, nowMs: number): Action {
  const rest = restOf(state)
  if (rest)
    return decideCluster(state, nowMs) ?? (rest.kind === 'finish' ? whileSecondJob(state) : undefined) ?? rest
  const restart = sequelOf(state)
  if (restart?.kind === 'stop') return { kind: 'conclude', conclusion: 'drift', why: restart.why }
  if (restart?.kind === 'restart' && nowMs < restart.atMs) return wait(restart.why, restart.atMs)
  return launch(state, restart ? 'restarting' : 'starting: nothing is running yet')
}

/** What there is to say when nothing is to be launched. Undefined: something is. */
function restOf(state: Experiment): Action | undefined {
  if (state.deleted) return { kind: 'finish', why: 'deleted' }
  switch (state.desired.state) {
    case 'STOPPED':
      return wait(state.run === 0 ? 'never started' : sayStopped(state))
    case 'TERMINATED':
      return wait('terminated')
    case 'RUNNING': {
      if (state.closing) return wait(state.closing.reason)
      const sequel = sequelOf(state)
      return sequel?.kind === 'over' ? wait(sequel.why) : undefined
    }
  }
}

/** Who stopped it and why, where that is what ended the last run; else how the last run ended. */
function sayStopped(state: Experiment): string {
  const last = state.attempt?.progress
  if (
    last?.phase === 'ended' &&
    last.verdict.outcome !== 'cancelled' &&
    last.verdict.outcome !== 'never-started'
  )
    return `stopped; the last run: ${sayVerdict(last.verdict)}`
  const { actor, reason } = state.desired
  return `stopped by ${actor}${reason === null ? '' : `: ${reason}`}`
}

/** Nothing is launched and nothing is finished beside a job that may still live. */
function whileSecondJob(state: Experiment): Action | undefined {
  const dueMs = nextStrayMs(state)
  return dueMs === null ? undefined : wait('waiting for the end of a second job', dueMs)
}

function launch(state: Experiment, why: string): Action {
  const blocked = whileSecondJob(state)
  if (blocked) return blocked
  const onCluster = state.spec.executor === 'cluster'
  return (onCluster ? mustStartFirst(state) : undefined) ?? submission(state, onCluster, why)
}

function decideLive(state: Experiment, attempt: Attempt, nowMs: number): Action {
  const unwanted = whyUnwanted(state, attempt)
  const { progress } = attempt
  switch (progress.phase) {
    case 'intended':
      return decideIntended(state, attempt, progress, unwanted, nowMs)
    case 'requested': {
      const { requestId, abortAskedAtMs } = progress
      if (unwanted === undefined) return { kind: 'follow', requestId, why: 'SkyPilot is preparing the job' }
      const repeatAtMs = abortAskedAtMs === undefined ? nowMs : abortAskedAtMs + LOOK_AGAIN_MS
      return nowMs < repeatAtMs
        ? wait('stopping: SkyPilot was asked to abort the launch', repeatAtMs)
        : { kind: 'abort', requestId, why: `${unwanted}; aborting the launch` }
    }
    case 'active':
      return decideActive(state, attempt, progress, unwanted, nowMs)
    case 'ended':
      return wait('over')
  }
}

function decideIntended(
  state: Experiment,
  attempt: Attempt,
  progress: Intended,
  unwanted: string | undefined,
  nowMs: number,
): Action {
  const clearing = endUnseen(state, progress, nowMs)
  if (clearing) return clearing
  if (unwanted !== undefined && isOnCluster(attempt) && isOutOfSight(state))
    return decideCluster(state, nowMs) ?? wait('stopping: what was launched ends with its cluster')
  if (unwanted !== undefined)
    return { kind: 'look', why: `${unwanted}; making sure that nothing was started` }
  if (progress.refusal)
    return {
      kind: 'look',
      why: 'SkyPilot calls the launch failed; looking whether its job came to the cluster before that',
    }
  if (progress.unsure && nowMs < progress.settledAtMs)
    return { kind: 'look', why: 'SkyPilot may still be working on a launch that it forgot; looking for it' }
  return (
    whileSecondJob(state) ?? submission(state, isOnCluster(attempt), 'waiting for its turn to be launched')
  )
}

/**
 * SkyPilot calls the launch failed, and its job may run all the same where nobody can see it. Nothing may be launched beside
 * that, so after a while, or when another is wanted, the machines are stopped, and with them whatever runs there.
 */
function endUnseen(state: Experiment, { unseenAtMs }: Intended, nowMs: number): Action | undefined {
  const isUnseen = unseenAtMs !== undefined && nowMs - unseenAtMs < UNSEEN_MS
  return isUnseen ? clearUnseen(state, nowMs) : undefined
}

const submission = (state: Experiment, onCluster: boolean, why: string): Action => ({
  kind: 'launch',
  how: onCluster ? (isReadyForExec(state) ? 'exec' : 'cluster') : 'job',
  priority: state.policy.priority,
  why,
})

function decideActive(
  state: Experiment,
  attempt: Attempt,
  active: Active,
  unwanted: string | undefined,
  nowMs: number,
): Action {
  const { verdict, job } = active
  if (verdict) return wait(`${sayVerdict(verdict)}; SkyPilot is cleaning up`)
  const onCluster = attempt.clusterName !== null
  const look = onCluster ? endOnStoppedCluster(state, nowMs) : undefined
  if (look) return look
  if (unwanted === undefined) {
    const saying = sayLive(job.status, job.details)
    const beside = decideCluster(state, nowMs)
    return beside ? { ...beside, why: `${saying}; ${beside.why}` } : wait(saying)
  }
  if (onCluster && endsWithCluster(state))
    return decideCluster(state, nowMs) ?? wait('stopping: the job ends with its cluster')
  return cancelling(attempt, active, unwanted, nowMs)
}

function cancelling(
  { jobName, clusterName }: Attempt,
  { jobId, cancel: asked }: Active,
  unwanted: string,
  nowMs: number,
): Action {
  const cancel = { kind: 'cancel', job: { jobId, jobName, clusterName } } as const
  if (asked === null) return { ...cancel, why: `stopping: ${unwanted}` }
  const repeatAtMs = asked.askedAtMs + CANCEL_REPEAT_MS
  return nowMs < repeatAtMs
    ? wait('stopping: SkyPilot was asked to cancel the job', repeatAtMs)
    : { ...cancel, why: 'stopping: the job is still there, asking again' }
}

/** Taking the cluster down, or stopping one that cannot be talked to, ends the job too and needs no way to the machines. */
function endsWithCluster({ deleted, desired, trouble, attempt }: Experiment): boolean {
  if (deleted || desired.state === 'TERMINATED') return true
  if (desired.state !== 'STOPPED' || trouble?.action !== 'cancel' || trouble.failures < CANCELS_FAILED_MAX)
    return false
  return trouble.job?.clusterName != null && trouble.job.clusterName === attempt?.clusterName
}

/** What is to end and cannot be looked at ends with its cluster, which takes launches in flight along. */
function isOutOfSight({ deleted, desired, trouble, cluster }: Experiment): boolean {
  const isBlind = trouble?.action === 'look' && trouble.failures >= LOOKS_FAILED_MAX
  if (deleted || desired.state === 'TERMINATED') return isBlind || cluster?.asked?.verb === 'down'
  return isBlind && desired.state === 'STOPPED' && !isKeptUp(cluster)
}

/** Stopped already, or on a cloud that cannot: it is looked at again. */
const isKeptUp = (cluster: Cluster | null): boolean =>
  cluster?.status === 'STOPPED' || cluster?.refused?.verb === 'stop'

/** Says why the job we may have is not the one we should have. */
export function whyUnwanted(state: Experiment, attempt: Attempt): string | undefined {
  if (state.deleted) return 'the experiment is being deleted'
  if (state.desired.state !== 'RUNNING') return `${state.desired.state} is wanted`
  if (attempt.run < state.run) return 'a newer run replaces it'
  return state.closing?.reason
}

/** SkyPilot's live statuses in plain words. An unknown word is shown as it is. */
export function sayLive(status: string, details: string | null): string {
  const extra = details ? ` (${details.split('\n', 1)[0]})` : ''
  switch (status) {
    case 'PENDING':
    case 'SUBMITTED':
    case 'INIT':
      return `waiting for SkyPilot to start it${extra}`
    case 'STARTING':
    case 'SETTING_UP':
      return `${status === 'STARTING' ? 'starting' : 'running its setup'}${extra}`
    case 'RUNNING':
      return 'running'
    case 'RECOVERING':
      return `recovering: its machine was lost${extra}`
    case 'CANCELLING':
      return 'being cancelled'
    default:
      return `SkyPilot says ${status}${extra}`
  }
}
