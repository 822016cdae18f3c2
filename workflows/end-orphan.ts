import * as wf from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import type { Orphan } from './definitions.ts'

const orphans = wf.proxyActivities<Activities>({
  startToCloseTimeout: '30m',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '2s', maximumInterval: '1m' },
})

/** The pause before a look doubles until then: what does not go must not be asked for every few seconds, for ever. */
const PAUSE_MIN_MS = 5_000
const PAUSE_MAX_MS = 5 * 60_000
const LOOKS_GONE_MIN = 2
/** What was asked without effect is asked again after so many looks. */
const LOOKS_PER_ASK = 4
const HISTORY_EVENTS_MAX = 500

/** Ends a job or a cluster that belongs to no experiment. Asks until it is gone, and believes that only when seen twice. */
export async function endOrphan(orphan: Orphan): Promise<void> {
  const name = orphan.kind === 'job' ? `job ${orphan.jobId}` : `cluster ${orphan.name}`
  const summary = { ask: `asking SkyPilot to end ${name}`, look: `is ${name} gone?` }
  tell(name)
  let pauseMs = PAUSE_MIN_MS
  let looksGone = 0
  for (let looks = 0; !isLong(); looks += 1) {
    if (looks % LOOKS_PER_ASK === 0)
      await unlessRefused(name, () =>
        orphans.endOrphan.executeWithOptions({ summary: summary.ask }, [orphan]),
      )
    await wf.sleep(pauseMs)
    const isGone = await unlessRefused(name, () =>
      orphans.isOrphanGone.executeWithOptions({ summary: summary.look }, [orphan]),
    )
    looksGone = isGone ? looksGone + 1 : 0
    if (looksGone === LOOKS_GONE_MIN) return undefined
    pauseMs = isGone ? PAUSE_MIN_MS : Math.min(pauseMs * 2, PAUSE_MAX_MS)
  }
  return wf.continueAsNew<typeof endOrphan>(orphan)
}

function isLong(): boolean {
  const { continueAsNewSuggested, historyLength } = wf.workflowInfo()
  return continueAsNewSuggested || historyLength > HISTORY_EVENTS_MAX
}

/** What SkyPilot refuses now it may do later. Undefined: it refused. */
async function unlessRefused<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
  try {
    const result = await work()
    tell(name)
    return result
  } catch (error) {
    if (wf.isCancellation(error) || !(error instanceof wf.ActivityFailure)) throw error
    tell(name, error.cause?.message ?? error.message)
    return undefined
  }
}

const tell = (name: string, trouble?: string): void =>
  wf.setCurrentDetails(
    `Ends ${name}, which belongs to no experiment.${trouble === undefined ? '' : `\n\nAsked again, for SkyPilot said: ${trouble}`}`,
  )
