import * as wf from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import { refreshFleet } from './definitions.ts'

const { watchFleet } = wf.proxyActivities<Activities>({
  startToCloseTimeout: '6h',
  heartbeatTimeout: '8s',
  cancellationType: wf.ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '1s', maximumInterval: '10s' },
})

const { askForLook } = wf.proxyActivities<Activities>({
  startToCloseTimeout: '5s',
  retry: { maximumAttempts: 3 },
})

/**
 * Looks at SkyPilot for all experiments at once. Its one long activity loops and heartbeats; if its worker dies, the
 * heartbeat timeout hands it to another. A refresh wakes it up and does not start it afresh: it remembers what it
 * has told, and a fresh one would tell every live experiment again.
 */
export async function fleet(): Promise<void> {
  let asked = 0
  let isOver = false
  wf.setHandler(refreshFleet, () => {
    asked += 1
  })
  wf.setCurrentDetails('Looks at SkyPilot for all experiments at once, and tells each one what changed.')
  const watching = settled(watchFleet).finally(() => {
    isOver = true
  })
  let answered = 0
  for (;;) {
    const seen = answered
    await wf.condition(() => asked > seen || isOver)
    if (isOver) break
    answered = asked
    await settled(askForLook)
  }
  await watching
  await wf.continueAsNew<typeof fleet>()
}

/** An activity that ends badly is begun afresh by the next run; only a bug of ours may stop the workflow. */
async function settled(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof wf.ActivityFailure)) throw error
  }
}
