import { activityInfo, cancellationSignal, sleep } from '@temporalio/activity'
import { SETTLE_MS } from '../core/decide.ts'
import { isRecord } from '../core/spec.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** What came of a launch, as far as SkyPilot lets us know. */
export type LaunchOutcome =
  | { kind: 'requested'; requestId: string }
  | { kind: 'found'; jobId: number }
  | { kind: 'refused'; reason: string }
  | { kind: 'unsure'; reason: string }
  | { kind: 'empty' }

export interface LaunchOrder {
  /** The SkyPilot job name; it carries the identity of the attempt. */
  name: string
  task: string
  /** True when an earlier launch of the same attempt may be on its way. */
  unsureBefore: boolean
}

/** How long one question about a request waits before it is asked again, on a fresh connection. */
const ASK_MS = 5_000

export function createLaunches(skypilot: SkyPilot) {
  const signal = (): { signal: AbortSignal } => ({ signal: cancellationSignal() })

  /** Looks in the order in which a launch moves: requests in flight first, then the durable queue. */
  async function find(name: string): Promise<LaunchOutcome> {
    const active = await skypilot.requests.list({
      fields: ['request_id', 'name', 'status', 'request_body'],
      ...signal(),
    })
    const request = active.find(
      (each) => each.name === 'sky.jobs.launch' && isRecord(each.body) && each.body['name'] === name,
    )
    if (request) return { kind: 'requested', requestId: request.requestId }
    const { jobs, unreadable } = await skypilot.jobs.queue({
      nameMatch: name,
      fields: ['job_id', 'job_name', 'status'],
      ...signal(),
    })
    const ours = jobs.filter((job) => job.jobName === name)
    const best = ours.find((job) => !isTerminalManaged(job.status)) ?? ours[0]
    if (best) return { kind: 'found', jobId: best.jobId }
    if (unreadable > 0)
      throw new SkyPilotError('protocol', `${unreadable} jobs of the queue could not be read`)
    return { kind: 'empty' }
  }

  return {
    /**
     * Asks SkyPilot to launch, unless it is found to have been asked already. Safe to repeat: a repetition, by us or
     * by Temporal, looks twice with a pause between before it asks again, and the name never changes.
     */
    requestLaunch: (order: LaunchOrder): Promise<LaunchOutcome> =>
      withSkyPilot(async () => {
        const before = await find(order.name)
        if (before.kind !== 'empty') return before
        if (order.unsureBefore || activityInfo().attempt > 1) {
          await sleep(SETTLE_MS)
          const again = await find(order.name)
          if (again.kind !== 'empty') return again
        }
        const requestId = await skypilot.jobs.launch({ name: order.name, task: order.task, ...signal() })
        return { kind: 'requested', requestId }
      }),

    /** Waits until the request has ended. Safe to repeat: it only asks. */
    followLaunch: (requestId: string): Promise<LaunchOutcome> =>
      withSkyPilot(async () => {
        for (;;) {
          const outcome = await askOnce(skypilot, requestId)
          if (outcome) return outcome
        }
      }),

    /** Looks for a launch that may have happened. Only asks. */
    lookForLaunch: (name: string): Promise<LaunchOutcome> => withSkyPilot(() => find(name)),

    /** Cancels a request. Whatever it has started by then is found by looking. Safe to repeat. */
    abortLaunch: (requestId: string): Promise<void> =>
      withSkyPilot(() => skypilot.requests.cancel([requestId], signal())),

    /** Asks for the end of one job, by its id, never by name. Safe to repeat: SkyPilot skips what has ended. */
    cancelJob: (jobId: number): Promise<void> =>
      withSkyPilot(() => skypilot.jobs.cancel({ jobIds: [jobId], ...signal() })),
  }
}

/** One bounded question. Undefined: the request is still being worked on. */
async function askOnce(skypilot: SkyPilot, requestId: string): Promise<LaunchOutcome | undefined> {
  try {
    const payload = await skypilot.requests.get(requestId, {
      signal: cancellationSignal(),
      timeoutMs: ASK_MS,
    })
    const jobId = skypilot.requests.launchedJobIds(payload)[0]
    return jobId === undefined
      ? { kind: 'unsure', reason: 'SkyPilot launched it but named no job' }
      : { kind: 'found', jobId }
  } catch (error) {
    if (!(error instanceof SkyPilotError)) throw error
    if (error.kind === 'timeout') return undefined
    if (error.kind === 'rejected') return { kind: 'refused', reason: error.message }
    // SkyPilot forgets its requests when it restarts: a 404 proves nothing.
    if (error.kind === 'not-found') return { kind: 'unsure', reason: 'SkyPilot forgot the launch request' }
    if (error.kind === 'cancelled') return { kind: 'unsure', reason: 'the launch request was cancelled' }
    throw error
  }
}
