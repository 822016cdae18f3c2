import {
  ActivityCancellationType,
  ActivityFailure,
  ApplicationFailure,
  isCancellation,
  proxyActivities,
} from '@temporalio/workflow'
import type { Activities, LaunchOutcome } from '../activities/index.ts'
import { buildTask, taskYaml } from '../core/build-task.ts'
import type { Action } from '../core/decide.ts'
import type { Fact } from '../core/evolve.ts'
import { type Experiment, identityOf } from '../core/experiment.ts'
import { LAUNCH_TASK_QUEUE } from './definitions.ts'

const { TRY_CANCEL, WAIT_CANCELLATION_COMPLETED } = ActivityCancellationType

/**
 * Temporal tries again a few times in silence; then the failure becomes a fact, is shown to people with its reason,
 * and waits in the state. The attempt keeps its name through all of it, so trying again never means a second job.
 */
const retry = { initialInterval: '1s', maximumAttempts: 3 } as const

/** Launches have a task queue of their own, so that a storm of starts never delays a stop. */
const launching = proxyActivities<Activities>({
  taskQueue: LAUNCH_TASK_QUEUE,
  startToCloseTimeout: '5m',
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

export type Step = Exclude<Action, { kind: 'finish' | 'wait' }>

/**
 * Carries out one action and reports what was learned; that it failed is one of the things we may learn.
 * A cancelled launch leaves open whether SkyPilot has it, so its fact is "unsure", never "no".
 */
export async function perform(state: Experiment, action: Step): Promise<Fact[]> {
  try {
    return await attempt(state, action)
  } catch (error) {
    if (action.kind === 'launch' && isCancellation(error))
      return unsure('the launch was interrupted by a new wish')
    if (isCancellation(error)) return []
    if (!(error instanceof ActivityFailure)) throw error
    const reason = error.cause?.message ?? error.message
    const failed: Fact = { kind: 'actionFailed', action: action.kind, reason, atMs: Date.now() }
    if (action.kind !== 'launch') return [failed]
    return isRefusal(error)
      ? [{ kind: 'launchRefused', reason, atMs: Date.now() }]
      : [...unsure(reason), failed]
  }
}

const isRefusal = (error: ActivityFailure): boolean =>
  error.cause instanceof ApplicationFailure && error.cause.type === 'SkyPilot.rejected'

const unsure = (reason: string): Fact[] => [{ kind: 'launchUnsure', reason, atMs: Date.now() }]

/** What Temporal's pages show beside an activity: one line, of which they take 200 bytes. */
export const summaryOf = (why: string): string => (why.split('\n', 1)[0] ?? '').slice(0, 100)

async function attempt(state: Experiment, action: Step): Promise<Fact[]> {
  const summary = summaryOf(action.why)
  switch (action.kind) {
    case 'launch':
      return learned(await requestLaunch(state, summary))
    case 'follow':
      return learned(await following.followLaunch.executeWithOptions({ summary }, [action.requestId]))
    case 'abort':
      await quick.abortLaunch.executeWithOptions({ summary }, [action.requestId])
      return unsure('the launch was aborted')
    case 'look':
      return learned(
        await quick.lookForLaunch.executeWithOptions({ summary }, [state.attempt?.jobName ?? '']),
      )
    case 'cancel':
      await quick.cancelJob.executeWithOptions({ summary }, [action.jobId])
      return [{ kind: 'cancelAsked', jobId: action.jobId, atMs: Date.now() }]
  }
}

async function requestLaunch(state: Experiment, summary: string): Promise<LaunchOutcome> {
  const current = state.attempt
  if (!current) throw new Error('a launch needs an attempt whose identity is fixed')
  const task = buildTask(identityOf(state, current), state.spec)
  const unsureBefore = current.progress.phase === 'intended' && current.progress.unsure
  const order = {
    name: current.jobName,
    task: taskYaml({ ...task, name: current.jobName }),
    unsureBefore,
  }
  return launching.requestLaunch.executeWithOptions({ summary: `${summary}: ${current.jobName}` }, [order])
}

function learned(outcome: LaunchOutcome): Fact[] {
  const atMs = Date.now()
  switch (outcome.kind) {
    case 'requested':
      return [{ kind: 'launchRequested', requestId: outcome.requestId, atMs }]
    case 'found':
      return [{ kind: 'jobFound', jobId: outcome.jobId, atMs }]
    case 'refused':
      return [{ kind: 'launchRefused', reason: outcome.reason, atMs }]
    case 'unsure':
      return [{ kind: 'launchUnsure', reason: outcome.reason, atMs }]
    case 'empty':
      return [{ kind: 'lookedEmpty', atMs }]
  }
}
