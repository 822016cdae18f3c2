import { cancellationSignal, heartbeat, sleep } from '@temporalio/activity'
import { type Client, WorkflowNotFoundError } from '@temporalio/client'
import type { Pool } from 'pg'
import type { Fact } from '../core/facts.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { touchSource } from '../store/sources.ts'
import { observe, workflowIdOf } from '../workflows/definitions.ts'
import { FleetView } from './fleet-view.ts'
import { look } from './look.ts'
import { startMissing } from './start-missing.ts'

const HEARTBEAT_MS = 2_000

/** No look takes this long: its longest questions end after a minute each. */
const STUCK_MS = 180_000

const TELL_MS = 5_000
const TELLERS = 20
const START_MISSING_EVERY_MS = 10_000

/** Where nothing is live nothing changes by itself, so it is looked at more seldom; a launch asks for a look. */
const IDLE_FACTOR = 6
const IDLE_MAX_MS = 60_000

/** After so many looks at nothing it is quiet; what was launched just now may not have shown itself at the first. */
const QUIET_LOOKS_MIN = 10

export interface FleetDeps {
  skypilot: SkyPilot
  db: Pool
  temporal: Client
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
  let aliveAtMs = Date.now()
  // Only a look-out that gets on is alive: one that hangs must be given to another worker.
  const ticker = setInterval(() => Date.now() - aliveAtMs < STUCK_MS && heartbeat(), HEARTBEAT_MS)
  try {
    const view = new FleetView()
    let startMissingAtMs = 0
    let auditAtMs = 0
    let quietLooks = 0
    for (;;) {
      const isAudit = Date.now() >= auditAtMs
      if (isAudit) auditAtMs = Date.now() + deps.reconcileIntervalMs
      await sweep(deps, view, isAudit)
      aliveAtMs = Date.now()
      if (Date.now() >= startMissingAtMs) {
        startMissingAtMs = Date.now() + START_MISSING_EVERY_MS
        await quietly(deps, 'starting missing workflows', () => startMissing(deps))
      }
      quietLooks = view.isAnythingLive ? 0 : quietLooks + 1
      if (await pause(deps, quietLooks >= QUIET_LOOKS_MIN)) quietLooks = 0
    }
  } finally {
    clearInterval(ticker)
  }
}

/** Until the next look is due, or somebody asks for it, which is what it gives. */
async function pause({ pollIntervalMs, onLookAsked }: FleetDeps, isQuiet: boolean): Promise<boolean> {
  const idleMs = Math.max(pollIntervalMs, Math.min(pollIntervalMs * IDLE_FACTOR, IDLE_MAX_MS))
  const asked = Promise.withResolvers<boolean>()
  const stop = onLookAsked(() => asked.resolve(true))
  try {
    const slept = sleep(isQuiet ? idleMs : pollIntervalMs).then(() => false)
    return await Promise.race([slept, asked.promise])
  } finally {
    stop()
  }
}

async function sweep(deps: FleetDeps, view: FleetView, isAudit: boolean): Promise<void> {
  const startedAtMs = Date.now()
  try {
    const { news, error } = await look(deps, view, { isAudit, startedAtMs })
    await tellAll(deps, view, news)
    await note(deps, { ok: error === null, error, atMs: startedAtMs })
  } catch (error) {
    cancellationSignal().throwIfAborted()
    await note(deps, { ok: false, error: messageOf(error), atMs: startedAtMs })
  }
}

async function tellAll(
  deps: FleetDeps,
  view: FleetView,
  news: ReadonlyMap<number, readonly Fact[]>,
): Promise<void> {
  const waiting = [...news]
  const teller = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await tell(deps, view, ...next)
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
    // Nobody is left to be told: the experiment is deleted, or the job is a stranger's with a name like ours.
    if (error instanceof WorkflowNotFoundError) return
    view.forgetTold(experimentId, facts)
    deps.log('could not tell an experiment what was seen', { experimentId, reason: messageOf(error) })
  }
}

const note = (deps: FleetDeps, seen: { ok: boolean; error: string | null; atMs: number }): Promise<void> =>
  quietly(deps, 'noting the look', () => touchSource(deps.db, { name: 'skypilot', ...seen }))

/** The tables are for people; that they are away must not stop the looking. */
async function quietly(deps: FleetDeps, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    deps.log(`${what} failed`, { reason: messageOf(error) })
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
