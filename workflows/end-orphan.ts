import * as wf from '@temporalio/workflow'
import type { Activities } from '../activities/index.ts'
import type { Orphan } from './definitions.ts'

/** Temporal tries again a few times in silence; then it is told what SkyPilot says. */
const orphans = wf.proxyActivities<Activities>({
  startToCloseTimeout: '30m',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '2s', maximumAttempts: 3 },
})

/** The pause before a look doubles until then: what does not go must not be asked for every few seconds, for ever. */
const PAUSE_MIN_MS = 5_000
const PAUSE_MAX_MS = 5 * 60_000
const LOOKS_GONE_MIN = 2
/** What was asked without effect is asked again after so many looks. */
const LOOKS_PER_ASK = 4
const HISTORY_EVENTS_MAX = 500

/** What those do that an earlier release began, and which go on with this one, from some look on. */
const ASKS_AGAIN = 'asks-again'

type Outcome<T> = { result: T } | { refusal: string }

/**
 * Ends a job or a cluster that belongs to no experiment, unless one takes it meanwhile. Asks until it is gone, and
 * believes that only when seen twice.
 */
export async function endOrphan(orphan: Orphan): Promise<void> {
  const name = orphan.kind === 'job' ? `job ${orphan.jobId}` : `cluster ${orphan.name}`
  const summary = { ask: `asking SkyPilot to end ${name}`, look: `is ${name} gone?` }
  let asked: Outcome<'asked' | 'owned'> | undefined
  let pauseMs = PAUSE_MIN_MS
  let looksGone = 0
  for (let looks = 0; !isLong(); looks += 1) {
    if (isTimeToAsk(looks)) {
      // What has the name of a cluster that was taken down is another one.
      if (orphan.kind === 'cluster' && resultOf(asked) === 'asked') return undefined
      asked = await tried(() => orphans.endOrphan.executeWithOptions({ summary: summary.ask }, [orphan]))
      tell(name, asked)
      if (resultOf(asked) === 'owned') return undefined
    }
    await wf.sleep(pauseMs)
    const isGone = resultOf(
      await tried(() => orphans.isOrphanGone.executeWithOptions({ summary: summary.look }, [orphan])),
    )
    looksGone = isGone ? looksGone + 1 : 0
    if (looksGone === LOOKS_GONE_MIN) return undefined
    pauseMs = isGone ? PAUSE_MIN_MS : Math.min(pauseMs * 2, PAUSE_MAX_MS)
  }
  return wf.continueAsNew<typeof endOrphan>(orphan)
}

const isTimeToAsk = (looks: number): boolean =>
  looks === 0 || (looks % LOOKS_PER_ASK === 0 && wf.patched(ASKS_AGAIN))

function isLong(): boolean {
  const { continueAsNewSuggested, historyLength } = wf.workflowInfo()
  return (continueAsNewSuggested || historyLength > HISTORY_EVENTS_MAX) && wf.patched(ASKS_AGAIN)
}

const resultOf = <T>(outcome: Outcome<T> | undefined): T | undefined =>
  outcome && 'result' in outcome ? outcome.result : undefined

/** What SkyPilot refuses now it may do later. */
async function tried<T>(work: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { result: await work() }
  } catch (error) {
    if (wf.isCancellation(error) || !(error instanceof wf.ActivityFailure)) throw error
    return { refusal: error.cause?.message ?? error.message }
  }
}

const tell = (name: string, asked: Outcome<unknown>): void =>
  wf.setCurrentDetails(
    `Ends ${name}, which belongs to no experiment.${'refusal' in asked ? `\n\nIt is tried again, for this failed: ${asked.refusal}` : ''}`,
  )
