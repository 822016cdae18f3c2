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

/** As for an experiment: long before the server's limit of 51,200 events. */
const HISTORY_EVENTS_MAX = 8_000

/**
 * Looks at SkyPilot for all experiments at once. Its one long activity loops and heartbeats; if its worker dies, the
 * heartbeat timeout hands it to another. A refresh wakes it up and does not start it afresh: it remembers what it
 * has told, and a fresh one would tell every live experiment again. Only where refreshes have made the history long
 * it is begun afresh, with its first look as the answer to whoever asked.
 */
export async function fleet(): Promise<void> {
  let asked = 0
  let isOver = false
  wf.setHandler(refreshFleet, () => {
    asked += 1
  })
  wf.setCurrentDetails('Looks at SkyPilot for all experiments at once, and tells each one what changed.')
  const scope = new wf.CancellationScope()
  const watching = scope
    .run(() => settled(watchFleet))
    .finally(() => {
      isOver = true
    })
  let answered = 0
  for (;;) {
    const seen = answered
    await wf.condition(() => asked > seen || isOver)
    if (isOver || mustRenew()) break
    answered = asked
    await settled(askForLook)
  }
  scope.cancel()
  await watching
  await wf.continueAsNew<typeof fleet>()
}

function mustRenew(): boolean {
  const { continueAsNewSuggested, historyLength } = wf.workflowInfo()
  // Runs of earlier releases went on here.
  return (continueAsNewSuggested || historyLength > HISTORY_EVENTS_MAX) && wf.patched('renewed-when-long')
}

/** An activity that ends badly is begun afresh by the next run; only a bug of ours may stop the workflow. */
async function settled(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof wf.ActivityFailure)) throw error
  }
}
