import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Client } from '@temporalio/client'
import { temporal as protocol } from '@temporalio/proto'
import { Worker } from '@temporalio/worker'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestDesk } from '../support/desk.ts'
import { STORIES, tellStory } from './stories.ts'

const dist = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).pathname
const HISTORIES = new URL('../histories/', import.meta.url).pathname

/** With this the histories that the stories make are written down, to be replayed by every later release. */
const isRecording = process.env['SKYDECK_RECORD_HISTORIES'] !== undefined

let desk: TestDesk
let temporal: Client

beforeAll(async () => {
  desk = await TestDesk.create()
  temporal = await desk.temporal()
})
afterAll(async () => {
  await temporal?.connection.close()
  await desk?.dispose()
})

const handleOf = (id: number) => temporal.workflow.getHandle(`experiment-${id}`)
const historyOf = (id: number) => handleOf(id).fetchHistory()
const countOf = async (id: number): Promise<number> => (await historyOf(id)).events?.length ?? 0

// Temporal's own form, packed: a history as JSON would be ten times as large.
const { History } = protocol.api.history.v1

/** The bundle that is shipped: what it decides must be what was decided. */
const bundle = () => ({
  workflowBundle: { code: readFileSync(dist('workflow-bundle.js'), 'utf8') },
  dataConverter: { payloadConverterPath: dist('workflows/payload-converter.js') },
})

/** Most stories have less than 120 events. */
const LONG: Readonly<Record<string, number>> = {
  'a-burst-of-300': 700,
  'fails-five-times': 320,
  'on-a-cluster': 250,
}

describe('every story replays, and is short enough to be read', () => {
  test.each(Object.keys(STORIES))('%s', async (name) => {
    const { id } = await tellStory(desk, temporal, name)
    const history = await historyOf(id)
    expect(history.events!.length).toBeLessThan(LONG[name] ?? 120)
    await Worker.runReplayHistory(bundle(), history, `experiment-${id}`)
    if (isRecording) writeFileSync(`${HISTORIES}${name}.pb.gz`, gzipSync(History.encode(history).finish()))
  })
})

test('histories of earlier releases replay', async () => {
  const files = readdirSync(HISTORIES).filter((file) => file.endsWith('.pb.gz'))
  expect(files.map((file) => file.replace('.pb.gz', ''))).toEqual(
    expect.arrayContaining(Object.keys(STORIES)),
  )
  for (const file of files) {
    const recorded = History.decode(gunzipSync(readFileSync(HISTORIES + file)))
    await expect(Worker.runReplayHistory(bundle(), recorded, 'experiment-1'), file).resolves.toBeUndefined()
  }
})

/** How many events something adds, once all that follows from it has settled. */
async function eventsOf(id: number, work: () => Promise<unknown>): Promise<number> {
  const before = await settledCount(id)
  await work()
  return (await settledCount(id)) - before
}

async function settledCount(id: number): Promise<number> {
  let last: number | undefined
  const isSettled = async () => last === (last = await countOf(id))
  await expect.poll(isSettled, { interval: 1_000, timeout: 30_000 }).toBe(true)
  return last ?? 0
}

/** What some events are made of. */
function parts(events: readonly protocol.api.history.v1.IHistoryEvent[]) {
  const activities = events.flatMap(
    (event) => event.activityTaskScheduledEventAttributes?.activityType?.name ?? [],
  )
  return {
    all: events.length,
    updates: events.filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length,
    signals: events.filter((event) => event.workflowExecutionSignaledEventAttributes).length,
    upserts: events.filter((event) => event.upsertWorkflowSearchAttributesEventAttributes).length,
    timers: events.filter((event) => event.timerStartedEventAttributes).length,
    projections: activities.filter((name) => name === 'project').length,
    calls: activities.filter((name) => name !== 'project'),
  }
}

describe('what history costs', () => {
  // Temporal's own: an update is 5 events, a signal 4, an activity 3 and 3 more for the task that takes its result in.
  // The search attribute is one more where the phase changes.
  const ACTIVITY = 6
  const PHASE = 1

  test('a quiet time nothing', async () => {
    const { id } = await desk.sdk.create({ name: 'quiet', command: 'sleep 600', desiredState: 'RUNNING' })
    await desk.sdk.waitFor(id, 'running')
    // Ten looks of the fleet, each of which sees this job as it was.
    expect(await eventsOf(id, () => new Promise((resolve) => setTimeout(resolve, 10_000)))).toBe(0)
  })

  test('a wish that needs no action 5, and its projection', async () => {
    const { id } = await desk.sdk.create({ name: 'wished', command: 'true' })
    const count = await eventsOf(id, () => desk.sdk.setDesiredState(id, 'TERMINATED'))
    expect(count).toBeLessThanOrEqual(5 + ACTIVITY + PHASE)
  })

  test('a change that the fleet sees 4, and its projection', async () => {
    const { id, name, state } = await tellStory(desk, temporal, 'watched', 'watched-again')
    const { attempt } = await state()
    if (attempt?.progress.phase !== 'active') throw new Error('it does not run')
    const { jobId, job } = attempt.progress
    const identity = { experimentId: id, name, run: 1, attempt: 1 }
    const observation = {
      jobId,
      jobName: attempt.jobName,
      clusterName: null,
      status: 'RUNNING',
      scheduleState: 'ALIVE',
      details: 'epoch 2',
      failureReason: null,
      submittedAtMs: null,
      startedAtMs: null,
      endedAtMs: null,
      recoveries: 0,
      seenAtMs: job.seenAtMs + 1,
    }
    const count = await eventsOf(id, () =>
      handleOf(id).signal('observe', [{ kind: 'observed', identity, observation }]),
    )
    expect(count).toBeLessThanOrEqual(4 + ACTIVITY)
  })

  test('a whole job: a wish, a launch and its request, a signal for each change, and as many projections', async () => {
    const { id } = await desk.sdk.create({ name: 'counted', command: 'sleep 2' })
    const before = await settledCount(id)
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await desk.sdk.waitFor(id, 'succeeded')
    await settledCount(id)
    const { all, updates, signals, upserts, timers, projections, calls } = parts(
      (await historyOf(id)).events!.slice(before),
    )
    expect({ updates, calls }).toEqual({ updates: 1, calls: ['requestLaunch', 'followLaunch'] })
    // How many of its six changes the looks find one by one is up to the machine; what each costs is not.
    expect(signals).toBeLessThanOrEqual(6)
    expect(projections).toBeLessThanOrEqual(updates + calls.length + signals)
    const activities = calls.length + projections
    expect(all).toBeLessThanOrEqual(
      5 * updates + 4 * signals + ACTIVITY * activities + PHASE * upserts + 2 * timers,
    )
  })
})

test('a stranger can read what an experiment is doing', async () => {
  const { id } = await desk.sdk.create({ name: 'readable', command: 'sleep 600', desiredState: 'RUNNING' })
  await desk.sdk.waitFor(id, 'running')
  const described = await handleOf(id).describe()
  expect(await described.staticSummary()).toBe('readable')
  expect(described.searchAttributes).toMatchObject({ SkyDeckState: ['running'], SkyDeckName: ['readable'] })
  const details = expect.stringContaining('wants **RUNNING**: running') as unknown
  expect(await handleOf(id).query('__temporal_workflow_metadata')).toMatchObject({ currentDetails: details })
  expect(await handleOf(id).query('explain')).toMatchObject({
    phase: 'running',
    headline: 'running',
    why: 'running',
  })
})

test('cancelling in the Temporal UI cleans up, then ends', async () => {
  const { id } = await desk.sdk.create({ name: 'cancelled', command: 'sleep 600', desiredState: 'RUNNING' })
  const { job_id: jobId } = await desk.sdk.waitFor(id, 'running')
  await handleOf(id).cancel()
  await handleOf(id).result()
  const ledger = await desk.ledger()
  expect(ledger.some((entry) => entry.job_id === jobId && entry.effect === 'cancelled')).toBe(true)
})
