import { isCleanedUp } from '../core/job-status.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import type { Orphan } from '../workflows/definitions.ts'
import { clusterNow, mustBeWhole, orGone, signal } from './asking.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** Ends what belongs to no experiment, because a person asked for exactly that one. */
export function createOrphanActivities(skypilot: SkyPilot) {
  return {
    /** Asks for its end. Safe to repeat: what has ended stays so. */
    endOrphan: (orphan: Orphan): Promise<void> =>
      withSkyPilot(async () => {
        if (orphan.kind === 'cluster')
          return orGone(async () => {
            const handle = await skypilot.clusters.down({ name: orphan.name, ...signal() })
            await handle.result({ ...signal() })
          })
        const request = await skypilot.jobs.cancel({ jobIds: [orphan.jobId], ...signal() })
        return request.result({ ...signal() })
      }),

    /** Is it gone? Only asks. */
    isOrphanGone: (orphan: Orphan): Promise<boolean> =>
      withSkyPilot(async () => {
        if (orphan.kind === 'cluster') return (await clusterNow(skypilot, orphan.name)) === undefined
        const { jobs, unreadable } = await skypilot.jobs.queue({ jobIds: [orphan.jobId], ...signal() })
        mustBeWhole(unreadable, 'jobs of the queue')
        return jobs.every(
          ({ status, scheduleState }) => isTerminalManaged(status) && isCleanedUp(scheduleState),
        )
      }),
  }
}
