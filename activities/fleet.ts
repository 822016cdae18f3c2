import { activityInfo, cancellationSignal, heartbeat, sleep } from '@temporalio/activity'
import { type Client, WorkflowNotFoundError } from '@temporalio/client'
import type { Pool } from 'pg'
import type { Fact } from '../core/facts.ts'
import { idleIntervalMs, SKYPILOT } from '../core/sight.ts'
import { isRecord } from '../core/spec.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { noteSilentQueues, type SilentQueue, touchSource, triedAtMs } from '../store/sources.ts'
import { FLEET_WORKFLOW_ID, observe, workflowIdOf } from '../workflows/definitions.ts'
import { CatchingUp, type Noted } from './catching-up.ts'
import type { Clock } from './clock.ts'
import { FleetView } from './fleet-view.ts'
import { look } from './look.ts'
import { startMissing } from './start-missing.ts'

const HEARTBEAT_MS = 2_000

/** No look takes this long: its longest questions end after a minute each. */
const STUCK_MS = 180_000

const TELL_MS = 5_000
const TELLERS = 20
const START_MISSING_EVERY_MS = 10_000

/** After so many looks at nothing it is quiet, and a launch asks for a look; what was launched just now may not have shown itself at the first. */
const QUIET_LOOKS_MIN = 10

export interface FleetDeps {
  skypilot: SkyPilot
  db: Pool
  temporal: Client
  clock: Clock
  pollIntervalMs: number
  /** How often everything that is expected is compared afresh, whatever was told before. */
  reconcileIntervalMs: number
  /** Calls back when somebody wants a look at once; returns how to end that. */
  onLookAsked: (look: () => void) => () => void
  log: (message: string, fields?: Record<string, unknown>) => void
}

/**
 * Looks at SkyPilot at every interval until cancelled, with a number of questions that does not grow with the number
 * of experiments. Only what changed is signalled. Safe to run twice at once: facts carry their time and job.
 */
export async function watchFleet(deps: FleetDeps): Promise<void> {
  let aliveAtMs = performance.now()
  const onProgress = (): void => {
    aliveAtMs = performance.now()
  }
  // Only a look-out that gets on is alive: one that hangs must be given to another worker.
  const noted = notedBefore()
  const wishes = new Wishes(deps)
  const ticker = setInterval(() => performance.now() - aliveAtMs < STUCK_MS && heartbeat(noted), HEARTBEAT_MS)
  try {
    await quietly(deps, 'asking Temporal for the time', () => learnTime(deps))
    const view = new FleetView()
    let startMissingAtMs = 0
    let auditAtMs = 0
    let quietLooks = 0
    const catching = new CatchingUp(deps, noted)
    let wasBlind = false
    for (;;) {
      if (catching.isDoneNow()) auditAtMs = 0
      const isAudit = performance.now() >= auditAtMs
      if (isAudit) auditAtMs = performance.now() + deps.reconcileIntervalMs
      const isSeen = await sweep({ ...deps, onProgress }, view, noted, isAudit)
      // Who could not look may have told us meanwhile that something is over, and be wrong.
      if (isSeen && wasBlind) auditAtMs = 0
      wasBlind = !isSeen
      onProgress()
      if (performance.now() >= startMissingAtMs) {
        startMissingAtMs = performance.now() + START_MISSING_EVERY_MS
        await quietly(deps, 'starting missing workflows', () => startMissing(deps))
      }
      quietLooks = view.isAnythingLive ? 0 : quietLooks + 1
      if (await wishes.pause(quietLooks >= QUIET_LOOKS_MIN)) quietLooks = 0
    }
  } finally {
    wishes.stop()
    clearInterval(ticker)
  }
}

/** This activity may have waited for long before it began, so when it was scheduled tells little. */
async function learnTime({ temporal, clock }: FleetDeps): Promise<void> {
  const { activityId, workflowExecution } = activityInfo()
  const { workflowId, runId } = workflowExecution ?? { workflowId: FLEET_WORKFLOW_ID }
  const { raw } = await temporal.withDeadline(Date.now() + TELL_MS, () =>
    temporal.workflow.getHandle(workflowId, runId).describe(),
  )
  const self = raw.pendingActivities?.find((pending) => pending.activityId === activityId)
  const { seconds, nanos } = self?.lastStartedTime ?? {}
  if (seconds != null) clock.learn(Number(seconds) * 1_000 + Math.floor((nanos ?? 0) / 1_000_000))
}

/** Wishes for a look. One that comes during a look is for the next, which sees what happened since the wish. */
class Wishes {
  readonly #deps: FleetDeps
  readonly stop: () => void
  #asked = Promise.withResolvers<boolean>()

  constructor(deps: FleetDeps) {
    this.#deps = deps
    this.stop = deps.onLookAsked(() => this.#asked.resolve(true))
  }

  /** Until the next look is due, or somebody asks for it, which is what it gives. */
  async pause(isQuiet: boolean): Promise<boolean> {
    const { pollIntervalMs } = this.#deps
    const slept = sleep(isQuiet ? idleIntervalMs(pollIntervalMs) : pollIntervalMs).then(() => false)
    try {
      return await Promise.race([this.#asked.promise, slept])
    } finally {
      this.#asked = Promise.withResolvers<boolean>()
    }
  }
}

function notedBefore(): Noted {
  const known: unknown = activityInfo().heartbeatDetails
  const atMs = isRecord(known) && typeof known['atMs'] === 'number' ? known['atMs'] : null
  return { atMs, isLost: isRecord(known) && known['isLost'] === true }
}

type LookDeps = Parameters<typeof look>[0]

/** One look, told and noted. Gives whether anything could be seen. */
async function sweep(
  deps: FleetDeps & LookDeps,
  view: FleetView,
  noted: Noted,
  isAudit: boolean,
): Promise<boolean> {
  const startedAtMs = deps.clock.nowMs()
  try {
    const areTablesBehind = !(isAudit && (await areTablesWhole(deps, noted)))
    const { news, error, silent } = await look(deps, view, { isAudit, areTablesBehind, startedAtMs })
    await tellAll(deps, view, news)
    if (silent) await noteSilence(deps, view, silent, startedAtMs)
    await note(deps, noted, { ok: error === null, error, atMs: startedAtMs })
    return true
  } catch (error) {
    cancellationSignal().throwIfAborted()
    await note(deps, noted, { ok: false, error: messageOf(error), atMs: startedAtMs })
    return false
  }
}

async function tellAll(
  deps: FleetDeps & LookDeps,
  view: FleetView,
  news: ReadonlyMap<number, readonly Fact[]>,
): Promise<void> {
  const waiting = [...news]
  const teller = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      await tell(deps, view, ...next)
      deps.onProgress()
    }
  }
  await Promise.all(Array.from({ length: TELLERS }, teller))
}

async function tell(
  deps: FleetDeps,
  view: FleetView,
  experimentId: number,
  facts: readonly Fact[],
): Promise<void> {
  const { workflow } = deps.temporal
  try {
    await deps.temporal.withDeadline(Date.now() + TELL_MS, () =>
      workflow.getHandle(workflowIdOf(experimentId)).signal(observe, [...facts]),
    )
  } catch (error) {
    // The experiment is deleted, which can be undone, or the job is a stranger's with a name like ours.
    if (error instanceof WorkflowNotFoundError) return view.noteUnheard(facts)
    view.forgetTold(experimentId, facts)
    deps.log('could not tell an experiment what was seen', { experimentId, reason: messageOf(error) })
  }
}

/** That all answer is written down once. */
async function noteSilence(
  deps: FleetDeps,
  view: FleetView,
  silent: readonly SilentQueue[],
  atMs: number,
): Promise<void> {
  if (silent.length === 0 && !view.mayBeSilent) return
  view.mayBeSilent = true
  await quietly(deps, 'noting which clusters do not answer', async () => {
    await noteSilentQueues(deps.db, silent, atMs)
    view.mayBeSilent = silent.length > 0
  })
}

const note = (
  deps: FleetDeps,
  noted: Noted,
  seen: { ok: boolean; error: string | null; atMs: number },
): Promise<void> =>
  quietly(deps, 'noting the look', async () => {
    judge(deps, noted, await touchSource(deps.db, { name: SKYPILOT, ...seen }))
    noted.atMs = seen.atMs
  })

/** Before anything is concluded from what is not in the tables. */
async function areTablesWhole(deps: FleetDeps, noted: Noted): Promise<boolean> {
  let isKnown = false
  await quietly(deps, 'asking the tables how far they are', async () => {
    judge(deps, noted, await triedAtMs(deps.db, SKYPILOT))
    isKnown = true
  })
  return isKnown && !noted.isLost
}

/** Tables that do not know what was noted last were put back to an earlier state. */
function judge(deps: FleetDeps, noted: Noted, knownAtMs: number | undefined): void {
  const knownMs = knownAtMs ?? 0
  if (noted.atMs === null || knownMs >= noted.atMs || noted.isLost) return
  const text = 'the tables were put back to an earlier state; they are told again what they have lost'
  deps.log(text, { knownMs })
  noted.isLost = true
}

/** The tables are for people; that they are away must not stop the looking. */
async function quietly(deps: FleetDeps, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    deps.log(`${what} failed`, { reason: messageOf(error) })
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
