import { activityInfo, sleep } from '@temporalio/activity'
import { SETTLE_MS } from '../core/action.ts'
import { type Task, taskYaml } from '../core/build-task.ts'
import type { Refusal } from '../core/experiment.ts'
import { type Fence, fenced } from '../core/fence.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import { signal } from './asking.ts'
import type { FindLaunch, Found } from './find-launch.ts'
import type { LaunchGate } from './launch-gate.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** What came of a launch, as far as SkyPilot lets us know. */
export type LaunchOutcome =
  /** `isFenced`: absent where an earlier launch was found under way. */
  | { kind: 'requested'; requestId: string; isFenced?: boolean }
  | { kind: 'found'; jobId: number }
  | { kind: 'refused'; reason: string; exceptionName: string | null }
  /** `refusal`: SkyPilot calls it failed, and the job may have come to the cluster before that. */
  | { kind: 'unsure'; reason: string; isForgotten: boolean; refusal?: Refusal }
  | { kind: 'making' }
  | { kind: 'empty' }

export interface LaunchOrder {
  /** As a managed job; on a cluster that is made, started or reused; or on one that is up, without setup. */
  how: 'job' | 'cluster' | 'exec'
  /** The SkyPilot job name; it carries the identity of the attempt. */
  name: string
  clusterName: string | null
  identity: AttemptKey
  task: Task
  /** True when an earlier launch of the same attempt may be on its way. */
  unsureBefore: boolean
  /** Whether a cluster in the making is waited for, where that may be the work of an earlier launch of this attempt. */
  waitsForMaking: boolean
}

/** A launch that SkyPilot has taken. */
export interface LaunchRequest {
  requestId: string
  clusterName: string | null
}

export interface LaunchLook {
  name: string
  clusterName: string | null
  /** SkyPilot calls it failed. */
  isFailed?: boolean
}

export interface AttemptKey {
  experimentId: number
  run: number
  attempt: number
}

export interface LaunchDeps {
  skypilot: SkyPilot
  find: FindLaunch
  gate: LaunchGate
  /** The fence of an attempt. */
  fenceOf: (attempt: AttemptKey) => Fence
  /** Has the fleet look at once: something new is live. */
  askForLook: () => Promise<void>
}

/** How long one question about a request waits before it is asked again, on a fresh connection. */
const ASK_MS = 5_000

export function createLaunches({ skypilot, find, gate, fenceOf, askForLook }: LaunchDeps) {
  async function submit({ how, name, clusterName, identity, task }: LaunchOrder): Promise<string> {
    const yaml = taskYaml(fenced(task, fenceOf(identity)))
    if (how === 'job' || clusterName === null)
      return (await skypilot.jobs.launch({ name, task: yaml, ...signal() })).id
    const order = { name: clusterName, task: yaml, ...signal() }
    return (await (how === 'exec' ? skypilot.clusters.exec(order) : skypilot.clusters.launch(order))).id
  }

  /** A refusal of the call itself is an answer: nothing was launched. */
  async function submitted(order: LaunchOrder): Promise<LaunchOutcome> {
    try {
      return {
        kind: 'requested',
        requestId: await submit(order),
        isFenced: fenceOf(order.identity).mode !== 'off',
      }
    } catch (error) {
      if (!(error instanceof SkyPilotError) || (error.kind !== 'rejected' && error.kind !== 'invalid'))
        throw error
      return { kind: 'refused', reason: error.message, exceptionName: error.exceptionName }
    }
  }

  return {
    /**
     * Asks SkyPilot to launch once it has room, unless it is found to have been asked already. Safe to repeat: a
     * repetition, by us or by Temporal, looks twice with a pause between before it asks again, and the name never changes.
     */
    requestLaunch: (order: LaunchOrder): Promise<LaunchOutcome> =>
      withSkyPilot(() =>
        gate.pass(async () => {
          const isRepetition = order.unsureBefore || activityInfo().attempt > 1
          const isSign = (found: Found): boolean =>
            found.kind === 'making'
              ? order.waitsForMaking && (isRepetition || found.byRequest)
              : found.kind !== 'empty'
          const before = await find(order)
          if (isSign(before)) return before
          if (isRepetition) {
            await sleep(SETTLE_MS)
            const again = await find(order)
            if (isSign(again)) return again
          }
          return submitted(order)
        }),
      ),

    /** Waits until the request has ended. Safe to repeat: it only asks. */
    followLaunch: (launch: LaunchRequest): Promise<LaunchOutcome> =>
      withSkyPilot(async () => {
        for (;;) {
          const answer = await askOnce(skypilot, launch)
          if (!answer) continue
          // Without the tables the fleet looks at its next interval.
          if (answer.kind === 'found') await askForLook().catch(() => undefined)
          return answer.kind === 'refused' ? doubted(launch, answer) : answer
        }
      }),

    /** Looks for a launch that may have happened. Only asks. */
    lookForLaunch: ({ isFailed = false, ...launch }: LaunchLook): Promise<LaunchOutcome> =>
      withSkyPilot(() => (isFailed ? findIfSeen(find, launch) : find(launch))),

    /**
     * Cancels a request. Whatever it has started by then is found by looking. False: SkyPilot knows of no such request
     * under way, so it has ended, or is forgotten and may be worked on all the same. Safe to repeat.
     */
    abortLaunch: (requestId: string): Promise<boolean> =>
      withSkyPilot(async () => (await skypilot.requests.cancel([requestId], signal())).includes(requestId)),
  }
}

/**
 * The request that puts a job into a cluster's queue may fail after it did so: where the way to the machines broke
 * before the answer came (`_exec_code_on_head` in `sky/backends/cloud_vm_ray_backend.py`). Managed jobs are written
 * down by SkyPilot itself.
 */
function doubted(
  { clusterName }: LaunchRequest,
  refused: Extract<LaunchOutcome, { kind: 'refused' }>,
): LaunchOutcome {
  const { reason, exceptionName } = refused
  return clusterName === null || BEFORE_THE_QUEUE.has(exceptionName ?? '')
    ? refused
    : { kind: 'unsure', reason, isForgotten: false, refusal: { reason, exceptionName } }
}

/** That SkyPilot answers and cannot look at the cluster means that nobody can see it, as while it is in the making. */
async function findIfSeen(
  find: FindLaunch,
  launch: { name: string; clusterName: string | null },
): Promise<Found> {
  try {
    return await find(launch)
  } catch (error) {
    if (error instanceof SkyPilotError && error.kind === 'rejected')
      return { kind: 'making', byRequest: false }
    throw error
  }
}

/** SkyPilot says these before it has sent anything to the machines. */
const BEFORE_THE_QUEUE: ReadonlySet<string> = new Set([
  'ClusterDoesNotExist',
  'ClusterNotUpError',
  'ClusterOwnerIdentityMismatchError',
  'InvalidClusterNameError',
  'NoCloudAccessError',
  'NotSupportedError',
  'ResourcesMismatchError',
  'ResourcesUnavailableError',
])

/** One bounded question. Undefined: the request is still being worked on. */
async function askOnce(
  skypilot: SkyPilot,
  { requestId, clusterName }: LaunchRequest,
): Promise<LaunchOutcome | undefined> {
  const options = { timeoutMs: ASK_MS, ...signal() }
  try {
    const jobId =
      clusterName === null
        ? (await skypilot.requests.attach(requestId, 'jobs.launch').result(options)).jobIds[0]
        : (await skypilot.requests.attach(requestId, 'launch').result(options)).jobId
    return jobId == null
      ? { kind: 'unsure', reason: 'SkyPilot launched it but named no job', isForgotten: false }
      : { kind: 'found', jobId }
  } catch (error) {
    if (!(error instanceof SkyPilotError)) throw error
    return whatItMeans(error)
  }
}

/** What an error says about the launch. Rethrown: it says nothing. */
function whatItMeans(error: SkyPilotError): LaunchOutcome | undefined {
  switch (error.kind) {
    case 'timeout':
      return undefined
    case 'rejected':
    case 'invalid':
      return { kind: 'refused', reason: error.message, exceptionName: error.exceptionName }
    case 'not-found':
      // SkyPilot forgets its requests when it restarts: a 404 proves nothing, and the work may go on unseen.
      return { kind: 'unsure', reason: 'SkyPilot forgot the launch request', isForgotten: true }
    case 'cancelled':
      return { kind: 'unsure', reason: 'the launch request was cancelled', isForgotten: false }
    case 'unreachable':
      // The server answered: what worked on the launch is dead or was interrupted, and may have got somewhere.
      if (error.exceptionName !== null) return { kind: 'unsure', reason: error.message, isForgotten: true }
      throw error
    case 'unauthorized':
    case 'protocol':
      throw error
  }
}
