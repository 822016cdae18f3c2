import * as wf from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import type { Orphan } from './definitions.ts'

const orphans = wf.proxyActivities<Activities>({
  startToCloseTimeout: '30m',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '2s', maximumInterval: '1m' },
})

const LOOK_EVERY = '5s'
const LOOKS_GONE_MIN = 2

/** Ends a job or a cluster that belongs to no experiment. Asks until it is gone, and believes that only when seen twice. */
export async function endOrphan(orphan: Orphan): Promise<void> {
  const name = orphan.kind === 'job' ? `job ${orphan.jobId}` : `cluster ${orphan.name}`
  wf.setCurrentDetails(`Ends ${name}, which belongs to no experiment.`)
  await orphans.endOrphan.executeWithOptions({ summary: `asking SkyPilot to end ${name}` }, [orphan])
  for (let looksGone = 0; looksGone < LOOKS_GONE_MIN;) {
    await wf.sleep(LOOK_EVERY)
    const isGone = await orphans.isOrphanGone.executeWithOptions({ summary: `is ${name} gone?` }, [orphan])
    looksGone = isGone ? looksGone + 1 : 0
  }
}
