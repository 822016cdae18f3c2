import { isCleanedUp } from '../core/job-status.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import type { Orphan } from '../workflows/definitions.ts'
import { ownerOf } from '../store/orphans.ts'
import type { Queryable } from '../store/query.ts'
import { clusterNow, mustBeWhole, orGone, signal } from './asking.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** Ends what belongs to no experiment, because a person asked for exactly that one. */
export function createOrphanActivities(skypilot: SkyPilot, db: Queryable) {
  return {
    /** Asks for its end, unless an experiment has it by now. Safe to repeat: what has ended stays so. */
    endOrphan: (orphan: Orphan): Promise<'asked' | 'owned'> =>
      withSkyPilot(async () => {
        const key = orphan.kind === 'job' ? String(orphan.jobId) : orphan.name
        if (await ownerOf(db, orphan.kind, key)) return 'owned'
        if (orphan.kind === 'cluster')
          await orGone(async () => {
            const handle = await skypilot.clusters.down({ name: orphan.name, ...signal() })
            await handle.result({ ...signal() })
          })
        else {
          const request = await skypilot.jobs.cancel({ jobIds: [orphan.jobId], ...signal() })
          await request.result({ ...signal() })
        }
        return 'asked'
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
