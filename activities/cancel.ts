import { sleep } from '@temporalio/activity'
import type { SkyPilot } from '../skypilot/client.ts'
import { isTerminalJob, isTerminalManaged } from '../skypilot/statuses.ts'
import { clusterNow, mustBeWhole, orGone, saysGone, saysNotUp, signal } from './asking.ts'
import { MISSES_APART_MS } from './jobs-view.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** How long SkyPilot may take to write down that a job is to end. */
const CANCEL_MS = 60_000

interface Job {
  jobId: number
  /** Null for a managed job. */
  clusterName: string | null
}

/** What one look shows of a job; `unknown`: SkyPilot has none of that id. */
type Stand = 'over' | 'live' | 'unknown'

/** `apartMs`: the pause between two looks that do not show a job, for them to count as two. */
export function createCancels(skypilot: SkyPilot, apartMs = MISSES_APART_MS) {
  return {
    /**
     * Asks for the end of one job, by its id, never by name. Safe to repeat: SkyPilot skips what has ended, and on a
     * cluster that is gone or stopped nothing is left that runs.
     */
    cancelJob: ({ jobId, clusterName }: Job): Promise<void> =>
      withSkyPilot(() => {
        const limits = { timeoutMs: CANCEL_MS, ...signal() }
        const jobIds = [jobId]
        return clusterName === null
          ? skypilot.jobs.cancel({ jobIds, ...signal() }).then((request) => request.result(limits))
          : unlessStopped(skypilot, clusterName, async () => {
              const request = await skypilot.clusters.cancel({ name: clusterName, jobIds, ...signal() })
              await request.result(limits)
            })
      }),

    /** Is the job over, as far as SkyPilot shows it now? One that two looks do not show is. Only asks. */
    isJobOver: (job: Job): Promise<boolean> =>
      withSkyPilot(async () => {
        const stand = await standOf(skypilot, job)
        if (stand !== 'unknown') return stand === 'over'
        await sleep(apartMs)
        return (await standOf(skypilot, job)) !== 'live'
      }),
  }
}

/** The machines of a stopped cluster cannot be asked, and run nothing. */
async function unlessStopped(
  skypilot: SkyPilot,
  clusterName: string,
  work: () => Promise<void>,
): Promise<void> {
  try {
    await orGone(work)
  } catch (error) {
    if (!saysNotUp(error) || (await clusterNow(skypilot, clusterName))?.status !== 'STOPPED') throw error
  }
}

async function standOf(skypilot: SkyPilot, { jobId, clusterName }: Job): Promise<Stand> {
  if (clusterName !== null) return standOn(skypilot, clusterName, jobId)
  const { jobs, unreadable } = await skypilot.jobs.queue({ jobIds: [jobId], ...signal() })
  mustBeWhole(unreadable, 'jobs of the queue')
  if (jobs.length === 0) return 'unknown'
  return jobs.every(({ status }) => isTerminalManaged(status)) ? 'over' : 'live'
}

async function standOn(skypilot: SkyPilot, clusterName: string, jobId: number): Promise<Stand> {
  try {
    const statuses = await skypilot.clusters.jobStatus({ name: clusterName, jobIds: [jobId], ...signal() })
    const status = statuses.get(jobId)
    if (status == null) return 'unknown'
    return isTerminalJob(status) ? 'over' : 'live'
  } catch (error) {
    if (saysGone(error)) return 'unknown'
    if (saysNotUp(error) && (await clusterNow(skypilot, clusterName))?.status === 'STOPPED') return 'over'
    throw error
  }
}
