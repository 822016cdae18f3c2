import { cancellationSignal } from '@temporalio/activity'
import { isCleanedUp } from '../core/job-status.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import type { Orphan } from '../workflows/definitions.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** Ends what belongs to no experiment, because a person asked for exactly that one. */
export function createOrphanActivities(skypilot: SkyPilot) {
  const signal = (): { signal: AbortSignal } => ({ signal: cancellationSignal() })

  async function takeDown(name: string): Promise<void> {
    try {
      const handle = await skypilot.clusters.down({ name, ...signal() })
      await handle.result({ ...signal() })
    } catch (error) {
      if (!(error instanceof SkyPilotError) || error.exceptionName !== 'ClusterDoesNotExist') throw error
    }
  }

  return {
    /** Asks for its end. Safe to repeat: what has ended stays so. */
    endOrphan: (orphan: Orphan): Promise<void> =>
      withSkyPilot(async () => {
        if (orphan.kind === 'cluster') return takeDown(orphan.name)
        const request = await skypilot.jobs.cancel({ jobIds: [orphan.jobId], ...signal() })
        return request.result({ ...signal() })
      }),

    /** Is it gone? Only asks. */
    isOrphanGone: (orphan: Orphan): Promise<boolean> =>
      withSkyPilot(async () => {
        if (orphan.kind === 'cluster') {
          const { clusters } = await skypilot.clusters.status({ names: [orphan.name], ...signal() })
          return !clusters.some(({ name }) => name === orphan.name)
        }
        const { jobs } = await skypilot.jobs.queue({ jobIds: [orphan.jobId], ...signal() })
        return jobs.every(
          ({ status, scheduleState }) => isTerminalManaged(status) && isCleanedUp(scheduleState),
        )
      }),
  }
}
