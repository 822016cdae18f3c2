import * as wf from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import { type FleetInput, refreshFleet } from './definitions.ts'

const { watchFleet } = wf.proxyActivities<Activities>({
  startToCloseTimeout: '6h',
  heartbeatTimeout: '15s',
  cancellationType: wf.ActivityCancellationType.TRY_CANCEL,
  retry: { initialInterval: '1s', maximumInterval: '10s' },
})

/**
 * Looks at SkyPilot for all experiments at once. Its one activity loops and heartbeats; if its worker dies, the
 * heartbeat timeout hands it to another. A refresh starts it afresh, and the first thing it does is to look.
 */
export async function fleet(input: FleetInput): Promise<void> {
  let refreshes = 0
  wf.setHandler(refreshFleet, () => {
    refreshes += 1
  })
  wf.setCurrentDetails('Looks at SkyPilot for all experiments at once, and tells each one what changed.')
  while (!wf.workflowInfo().continueAsNewSuggested) {
    const seen = refreshes
    const scope = new wf.CancellationScope()
    const watching = scope
      .run(() => watchFleet(input))
      .catch((error: unknown) => {
        if (!wf.isCancellation(error) && !(error instanceof wf.ActivityFailure)) throw error
      })
    await Promise.race([watching, wf.condition(() => refreshes !== seen)])
    scope.cancel()
  }
  await wf.continueAsNew<typeof fleet>(input)
}
