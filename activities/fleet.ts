import { cancellationSignal, heartbeat, sleep } from '@temporalio/activity'
import type { Client } from '@temporalio/client'
import type { Pool } from 'pg'
import type { Fact } from '../core/evolve.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { listLiveAttempts } from '../store/attempts.ts'
import { touchSeen } from '../store/project.ts'
import { touchSource } from '../store/sources.ts'
import { observe, workflowIdOf } from '../workflows/definitions.ts'
import { createFleetView, type FleetView } from './fleet-view.ts'
import { startMissing } from './start-missing.ts'

const HEARTBEAT_MS = 3_000
const START_MISSING_EVERY_MS = 10_000
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

interface FleetDeps {
  skypilot: SkyPilot
  db: Pool
  temporal: Client
  log: (message: string, fields?: Record<string, unknown>) => void
}

/**
 * Looks at SkyPilot at every interval until cancelled: one question for all live jobs, and one more for those that
 * left the live set. Only what changed is signalled. Safe to run twice at once: facts carry their time and job.
 */
export async function watchFleet(deps: FleetDeps, input: { pollIntervalMs: number }): Promise<void> {
  const ticker = setInterval(() => heartbeat(), HEARTBEAT_MS)
  try {
    const view = createFleetView()
    await seed(deps, view)
    let startMissingAtMs = 0
    for (;;) {
      await sweep(deps, view)
      if (Date.now() >= startMissingAtMs) {
        startMissingAtMs = Date.now() + START_MISSING_EVERY_MS
        await quietly(deps, 'starting missing workflows', () => startMissing(deps))
      }
      await sleep(input.pollIntervalMs)
    }
  } finally {
    clearInterval(ticker)
  }
}

/** Without the tables we still see every live job; only what ended while nobody looked is told a little later. */
async function seed(deps: FleetDeps, view: FleetView): Promise<void> {
  await quietly(deps, 'reading live attempts', async () => {
    for (const attempt of await listLiveAttempts(deps.db))
      if (attempt.jobId !== null) view.track(attempt.jobId, attempt.jobName)
  })
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
    for (const [experimentId, facts] of news) await tell(deps, view, experimentId, facts)
    const error = complete ? null : 'some jobs of the queue could not be read'
    await note(deps, view, { ok: complete, error, atMs: startedAtMs })
  } catch (error) {
    signal.throwIfAborted()
    await note(deps, view, { ok: false, error: messageOf(error), atMs: startedAtMs })
  }
}

async function tell(deps: FleetDeps, view: FleetView, experimentId: number, facts: Fact[]): Promise<void> {
  try {
    await deps.temporal.workflow.getHandle(workflowIdOf(experimentId)).signal(observe, facts)
  } catch (error) {
    view.forgetTold(facts)
    deps.log('could not tell an experiment what was seen', { experimentId, reason: messageOf(error) })
  }
}

async function note(
  deps: FleetDeps,
  view: FleetView,
  look: { ok: boolean; error: string | null; atMs: number },
): Promise<void> {
  await quietly(deps, 'noting the look', async () => {
    await touchSource(deps.db, { name: 'skypilot', ok: look.ok, error: look.error, atMs: look.atMs })
    if (look.ok) await touchSeen(deps.db, view.liveExperiments(), look.atMs)
  })
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
