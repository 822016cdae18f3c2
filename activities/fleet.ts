import { cancellationSignal, heartbeat, sleep } from '@temporalio/activity'
import { type Client, WorkflowNotFoundError } from '@temporalio/client'
import type { Pool } from 'pg'
import type { Fact } from '../core/evolve.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { listLiveAttempts } from '../store/attempts.ts'
import { touchSource } from '../store/sources.ts'
import { observe, workflowIdOf } from '../workflows/definitions.ts'
import { FleetView } from './fleet-view.ts'
import { startMissing } from './start-missing.ts'

const HEARTBEAT_MS = 2_000

/** No look takes this long: its longest questions end after a minute each. */
const STUCK_MS = 180_000

const TELL_MS = 5_000
const TELLERS = 20
const START_MISSING_EVERY_MS = 10_000

/** A row may become visible this long after the time that it carries. */
const WRITES_LATE_MS = 30_000

const FIELDS = [
  'job_id',
  'task_id',
  'job_name',
  'status',
  'schedule_state',
  'details',
  'failure_reason',
  'submitted_at',
  'start_at',
  'end_at',
  'recovery_count',
]

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
 * Looks at SkyPilot at every interval until cancelled: one question for all live jobs, and one more for those that
 * left the live set. Only what changed is signalled. Safe to run twice at once: facts carry their time and job.
 */
export async function watchFleet(deps: FleetDeps): Promise<void> {
  let aliveAtMs = Date.now()
  // Only a look-out that gets on is alive: one that hangs must be given to another worker.
  const ticker = setInterval(() => Date.now() - aliveAtMs < STUCK_MS && heartbeat(), HEARTBEAT_MS)
  try {
    const view = new FleetView()
    let startMissingAtMs = 0
    let reconcileAtMs = 0
    let knownUntilMs: number | null = null
    for (;;) {
      if (Date.now() >= reconcileAtMs) {
        reconcileAtMs = Date.now() + deps.reconcileIntervalMs
        knownUntilMs = null
      }
      knownUntilMs = await expectNews(deps, view, knownUntilMs)
      await sweep(deps, view)
      aliveAtMs = Date.now()
      if (Date.now() >= startMissingAtMs) {
        startMissingAtMs = Date.now() + START_MISSING_EVERY_MS
        await quietly(deps, 'starting missing workflows', () => startMissing(deps))
      }
      await pause(deps)
    }
  } finally {
    clearInterval(ticker)
  }
}

/** Until the next look is due, or somebody asks for it. */
async function pause(deps: FleetDeps): Promise<void> {
  const asked = Promise.withResolvers<void>()
  const stop = deps.onLookAsked(asked.resolve)
  try {
    await Promise.race([sleep(deps.pollIntervalMs), asked.promise])
  } finally {
    stop()
  }
}

/**
 * Learns from the tables which jobs experiments wait for, so that one which began and ended between two looks is
 * asked for by its id. Without the tables every live job is still seen; only such short ones are told later.
 */
async function expectNews(deps: FleetDeps, view: FleetView, sinceMs: number | null): Promise<number | null> {
  const askedAtMs = Date.now()
  let known = sinceMs
  await quietly(deps, 'reading live attempts', async () => {
    const since = sinceMs === null ? null : sinceMs - WRITES_LATE_MS
    for (const { jobId, jobName, status } of await listLiveAttempts(deps.db, since))
      if (since === null) view.audit(jobId, jobName, status)
      else view.track(jobId, jobName)
    known = askedAtMs
  })
  return known
}

async function sweep(deps: FleetDeps, view: FleetView): Promise<void> {
  const signal = cancellationSignal()
  const startedAtMs = Date.now()
  try {
    const live = await deps.skypilot.jobs.queue({ skipFinished: true, fields: FIELDS, signal })
    const gone = view.notIn(live.jobs)
    const ended =
      gone.length > 0 ? await deps.skypilot.jobs.queue({ jobIds: gone, fields: FIELDS, signal }) : undefined
    const complete = live.unreadable === 0 && (ended?.unreadable ?? 0) === 0
    const news = view.take({ live: live.jobs, ended: ended?.jobs ?? [], complete, seenAtMs: startedAtMs })
    await tellAll(deps, view, news)
    const error = complete ? null : 'some jobs of the queue could not be read'
    await note(deps, { ok: complete, error, atMs: startedAtMs })
  } catch (error) {
    signal.throwIfAborted()
    await note(deps, { ok: false, error: messageOf(error), atMs: startedAtMs })
  }
}

async function tellAll(deps: FleetDeps, view: FleetView, news: Map<number, Fact[]>): Promise<void> {
  const waiting = [...news]
  const teller = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await tell(deps, view, ...next)
  }
  await Promise.all(Array.from({ length: TELLERS }, teller))
}

async function tell(deps: FleetDeps, view: FleetView, experimentId: number, facts: Fact[]): Promise<void> {
  const { workflow } = deps.temporal
  try {
    await deps.temporal.withDeadline(Date.now() + TELL_MS, () =>
      workflow.getHandle(workflowIdOf(experimentId)).signal(observe, facts),
    )
  } catch (error) {
    // Nobody is left to be told: the experiment is deleted, or the job is a stranger's with a name like ours.
    if (error instanceof WorkflowNotFoundError) return
    view.forgetTold(facts)
    deps.log('could not tell an experiment what was seen', { experimentId, reason: messageOf(error) })
  }
}

const note = (deps: FleetDeps, look: { ok: boolean; error: string | null; atMs: number }): Promise<void> =>
  quietly(deps, 'noting the look', () => touchSource(deps.db, { name: 'skypilot', ...look }))

/** The tables are for people; that they are away must not stop the looking. */
async function quietly(deps: FleetDeps, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    deps.log(`${what} failed`, { reason: messageOf(error) })
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
