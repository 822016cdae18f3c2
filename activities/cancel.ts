import { cancellationSignal } from '@temporalio/activity'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import { isTerminalJob, isTerminalManaged } from '../skypilot/statuses.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** How long SkyPilot may take to write down that a job is to end. */
const CANCEL_MS = 60_000

export function createCancels(skypilot: SkyPilot) {
  const signal = (): { signal: AbortSignal } => ({ signal: cancellationSignal() })

  return {
    /**
     * Asks for the end of one job, by its id, never by name. Safe to repeat: SkyPilot skips what has ended, and on a
     * cluster that is gone there is nothing left.
     */
    cancelJob: ({ jobId, clusterName }: { jobId: number; clusterName: string | null }): Promise<void> =>
      withSkyPilot(async () => {
        const jobIds = [jobId]
        try {
          const request = await (clusterName === null
            ? skypilot.jobs.cancel({ jobIds, ...signal() })
            : skypilot.clusters.cancel({ name: clusterName, jobIds, ...signal() }))
          await request.result({ timeoutMs: CANCEL_MS, ...signal() })
        } catch (error) {
          if (!(error instanceof SkyPilotError) || error.exceptionName !== 'ClusterDoesNotExist') throw error
        }
      }),

    /** Is the job over, as far as SkyPilot shows it now? One that it does not know is. Only asks. */
    isJobOver: ({ jobId, clusterName }: { jobId: number; clusterName: string | null }): Promise<boolean> =>
      withSkyPilot(() => isOver(skypilot, jobId, clusterName)),
  }
}

async function isOver(skypilot: SkyPilot, jobId: number, clusterName: string | null): Promise<boolean> {
  const signal = cancellationSignal()
  if (clusterName === null) {
    const { jobs, unreadable } = await skypilot.jobs.queue({ jobIds: [jobId], signal })
    return unreadable === 0 && jobs.every(({ status }) => isTerminalManaged(status))
  }
  try {
    const status = (await skypilot.clusters.jobStatus({ name: clusterName, jobIds: [jobId], signal })).get(
      jobId,
    )
    return status == null || isTerminalJob(status)
  } catch (error) {
    if (error instanceof SkyPilotError && error.exceptionName === 'ClusterDoesNotExist') return true
    throw error
  }
}
