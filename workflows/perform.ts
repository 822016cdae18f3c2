import {
  ActivityCancellationType,
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  proxyActivities,
} from '@temporalio/workflow'
import type {
  Activities,
  ClusterAnswer,
  ClusterLook,
  LaunchOrder,
  LaunchOutcome,
  LaunchRequest,
} from '../activities/index.ts'
import type { Step } from '../core/action.ts'
import { buildTask } from '../core/build-task.ts'
import { clipBytes } from '../core/clip-bytes.ts'
import { type Attempt, type Experiment, identityOf, type Stray } from '../core/experiment.ts'
import type { Fact } from '../core/facts.ts'
import { submittedOf } from '../core/submitted.ts'
import { LAUNCH_TASK_QUEUE } from './definitions.ts'

const { TRY_CANCEL, WAIT_CANCELLATION_COMPLETED } = ActivityCancellationType

/**
 * Temporal tries again a few times in silence; then the failure becomes a fact, is shown to people with its reason,
 * and waits in the state. The attempt keeps its name through all of it, so trying again never means a second job.
 */
const retry = { initialInterval: '1s', maximumAttempts: 3 } as const

/**
 * Launches have a task queue of their own, so that a storm of starts never delays a stop. Within it Temporal serves
 * by priority, and fairly between owners; an activity that has its turn still waits until SkyPilot has room.
 */
const launching = proxyActivities<Activities>({
  taskQueue: LAUNCH_TASK_QUEUE,
  startToCloseTimeout: '12h',
  heartbeatTimeout: '10s',
  cancellationType: WAIT_CANCELLATION_COMPLETED,
  retry,
})

/** Following only asks, so it can be left alone the moment that it is not wanted any more. */
const following = proxyActivities<Activities>({
  startToCloseTimeout: '12h',
  heartbeatTimeout: '10s',
  cancellationType: TRY_CANCEL,
  retry,
})

const quick = proxyActivities<Activities>({
  startToCloseTimeout: '3m',
  heartbeatTimeout: '10s',
  cancellationType: WAIT_CANCELLATION_COMPLETED,
  retry,
})

/** Machines take minutes to come and go. */
const lasting = proxyActivities<Activities>({
  startToCloseTimeout: '1h',
  heartbeatTimeout: '10s',
  cancellationType: WAIT_CANCELLATION_COMPLETED,
  retry,
})

/**
 * Carries out one action and reports what was learned; that it failed is one of the things we may learn.
 * A cancelled launch leaves open whether SkyPilot has it, so its fact is "unsure", never "no".
 */
export async function perform(state: Experiment, action: Step): Promise<Fact[]> {
  try {
    return await attempt(state, action)
  } catch (error) {
    const atMs = Date.now()
    if (action.kind === 'launch' && isCancellation(error))
      return [{ kind: 'launchUnsure', reason: 'the launch was interrupted', atMs }]
    if (isCancellation(error)) return cutShort(action, atMs)
    if (!(error instanceof ActivityFailure)) throw error
    return failed(action, error, atMs)
  }
}

/** SkyPilot goes on with a start that nobody waits for any more, so the cluster is not what it was. */
const cutShort = (action: Step, atMs: number): Fact[] =>
  action.kind === 'cluster' && action.verb === 'start'
    ? [{ kind: 'clusterAsked', verb: 'start', name: action.name, atMs }]
    : []

function failed(action: Step, error: ActivityFailure, atMs: number): Fact[] {
  const reason = error.cause?.message ?? error.message
  const errorKind = (error.cause instanceof ApplicationFailure ? error.cause.type : null) ?? 'unknown'
  const about = action.kind === 'cancel' ? { job: action.job } : {}
  const trouble: Fact = { kind: 'actionFailed', action: action.kind, errorKind, reason, ...about, atMs }
  return action.kind === 'launch' ? [{ kind: 'launchUnsure', reason, atMs }, trouble] : [trouble]
}

/** What Temporal's pages show beside an activity: one line, of which they take 200 bytes. */
export const summaryOf = (why: string): string => clipBytes(why.split('\n', 1)[0] ?? '', 100)

async function attempt(state: Experiment, action: Step): Promise<Fact[]> {
  const summary = summaryOf(action.why)
  switch (action.kind) {
    case 'launch':
      return submitted(state, learned(await requestLaunch(state, action, summary)))
    case 'follow':
      return learned(await following.followLaunch.executeWithOptions({ summary }, [launchOf(state, action)]))
    case 'abort':
      return [
        {
          kind: 'abortAsked',
          isForgotten: !(await quick.abortLaunch.executeWithOptions({ summary }, [action.requestId])),
          atMs: Date.now(),
        },
      ]
    case 'look': {
      const { jobName: name, clusterName, progress } = attemptOf(state)
      const isFailed = progress.phase === 'intended' && progress.refusal !== undefined
      const launch = { name, clusterName, ...(isFailed ? { isFailed } : {}) }
      return learned(await quick.lookForLaunch.executeWithOptions({ summary }, [launch]))
    }
    case 'cancel':
      await quick.cancelJob.executeWithOptions({ summary }, [action.job])
      return [
        { kind: 'cancelAsked', job: action.job, ...(await standOf(state, action.job)), atMs: Date.now() },
      ]
    case 'cluster':
    case 'autostop':
    case 'lookAtCluster':
      return attemptCluster(action, summary)
  }
}

/** A second job stays in the books until it is over; nobody else tells of one that does not change. */
async function standOf(state: Experiment, job: Stray): Promise<{ isOver?: boolean }> {
  const isSecond = state.strays.some(
    ({ jobId, clusterName }) => jobId === job.jobId && clusterName === job.clusterName,
  )
  if (!isSecond) return {}
  const summary = `is the second job ${job.jobId} over?`
  try {
    return { isOver: await quick.isJobOver.executeWithOptions({ summary }, [job]) }
  } catch (error) {
    // That nobody can see it makes nothing of the cancel undone.
    if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error
    return {}
  }
}

type ClusterStep = Extract<Step, { kind: 'cluster' | 'autostop' | 'lookAtCluster' }>

async function attemptCluster(action: ClusterStep, summary: string): Promise<Fact[]> {
  const { name } = action
  switch (action.kind) {
    case 'cluster': {
      const { verb } = action
      const answer = await lasting.changeCluster.executeWithOptions({ summary }, [{ verb, name }])
      return [changed(action, answer), ...seen(name, answer.look)]
    }
    case 'autostop': {
      const { minutes } = action
      const refusal = await quick.setAutostop.executeWithOptions({ summary }, [{ name, minutes }])
      return [{ kind: 'autostopAsked', name, minutes, refusal, atMs: Date.now() }]
    }
    case 'lookAtCluster':
      return seen(name, await quick.lookAtCluster.executeWithOptions({ summary }, [name]))
  }
}

function changed(
  { verb, name }: Extract<Step, { kind: 'cluster' }>,
  { refusal, askedAtMs }: ClusterAnswer,
): Fact {
  return refusal === null
    ? { kind: 'clusterAsked', verb, name, atMs: askedAtMs }
    : { kind: 'clusterRefused', verb, name, reason: refusal, atMs: askedAtMs }
}

/** A cluster that is gone while a request for it is in flight may come back: that look proves nothing. */
function seen(name: string, look: ClusterLook): Fact[] {
  switch (look.kind) {
    case 'seen':
      return [{ kind: 'clusterSeen', cluster: look.cluster }]
    case 'absent':
      return [{ kind: 'clusterAbsent', name, seenAtMs: look.seenAtMs }]
    case 'busy':
      return [{ kind: 'clusterBusy', name, atMs: Date.now() }]
  }
}

function attemptOf({ attempt: current }: Experiment): Attempt {
  if (!current) throw new Error('this step needs an attempt whose identity is fixed')
  return current
}

const launchOf = (state: Experiment, { requestId }: { requestId: string }): LaunchRequest => ({
  requestId,
  clusterName: attemptOf(state).clusterName,
})

async function requestLaunch(
  state: Experiment,
  { how, priority }: Extract<Step, { kind: 'launch' }>,
  summary: string,
): Promise<LaunchOutcome> {
  const current = attemptOf(state)
  const task = buildTask(identityOf(state, current), state.spec)
  const order = {
    how,
    name: current.jobName,
    clusterName: current.clusterName,
    identity: { experimentId: state.id, run: current.run, attempt: current.attempt },
    task: { ...task, name: current.jobName },
    ...doubtsOf(current),
  }
  return launching.requestLaunch.executeWithOptions(
    {
      summary: `${summary}: ${current.jobName}`,
      priority: { priorityKey: priority, fairnessKey: clipBytes(state.owner, FAIRNESS_KEY_BYTES_MAX) },
    },
    [order],
  )
}

/** What an earlier launch of the same attempt may have come to, and how long that is waited for. */
function doubtsOf({ progress }: Attempt): Pick<LaunchOrder, 'unsureBefore' | 'waitsForMaking'> {
  if (progress.phase !== 'intended') return { unsureBefore: false, waitsForMaking: true }
  const { unsure, makingUntilMs } = progress
  return { unsureBefore: unsure, waitsForMaking: makingUntilMs === undefined || Date.now() < makingUntilMs }
}

/** Says with a launch what was sent: the experiment may be edited while it is on its way. */
const submitted = (state: Experiment, facts: Fact[]): Fact[] =>
  facts.map((fact) => (fact.kind === 'launchRequested' ? { ...fact, submitted: submittedOf(state) } : fact))

/** Temporal takes 64 bytes. */
const FAIRNESS_KEY_BYTES_MAX = 60

function learned(outcome: LaunchOutcome): Fact[] {
  const atMs = Date.now()
  switch (outcome.kind) {
    case 'requested':
      return [{ ...outcome, kind: 'launchRequested', atMs }]
    case 'found':
      return [{ kind: 'jobFound', jobId: outcome.jobId, atMs }]
    case 'refused':
      return [{ kind: 'launchRefused', reason: outcome.reason, exceptionName: outcome.exceptionName, atMs }]
    case 'unsure':
      return [{ ...outcome, kind: 'launchUnsure', atMs }]
    case 'making':
      return [{ kind: 'lookedMaking', atMs }]
    case 'empty':
      return [{ kind: 'lookedEmpty', atMs }]
  }
}
