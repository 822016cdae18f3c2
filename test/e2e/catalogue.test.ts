import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from '@temporalio/client'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import type { Experiment } from '../../core/experiment.ts'
import { historiesOf } from '../chaos/histories.ts'
import { processesWith, TestDesk } from '../support/desk.ts'

// The rows of docs/failure-catalogue.md that need real processes and are tested nowhere else, by their numbers.

let desk: TestDesk
let temporal: Client
const thaws: Array<() => void> = []

beforeAll(async () => {
  desk = await TestDesk.create()
  temporal = await desk.temporal()
})
afterEach(async () => {
  for (const thaw of thaws.splice(0)) thaw()
  await desk.faults([])
})
afterAll(async () => {
  await temporal?.connection.close()
  await desk?.dispose()
})

const WAIT = { timeoutMs: 90_000 }
const POLL = { timeout: 90_000, interval: 250 }

const alive = (mark: string): number => processesWith(mark).length
const handleOf = (id: number) => temporal.workflow.getHandle(`experiment-${id}`)
const stateOf = (id: number): Promise<Experiment> => handleOf(id).query<Experiment>('getState')
const eventsOf = async (id: number) =>
  (await historiesOf(temporal, `experiment-${id}`)).flatMap(({ events }) => events ?? [])

const pidOf = (name: string): number => desk.pids().find((each) => each.name === name)!.pid

/** Stops a process where it is. Gives its thaw, which comes after the test at the latest. */
function freeze(name: string): () => void {
  const thaw = desk.freeze(name)
  thaws.push(thaw)
  return thaw
}

/** An experiment that sleeps under a mark by which it is found in the process table. */
async function sleeper(name: string) {
  // oxlint-disable-next-line no-console -- a failure that came out wrong can seldom be repeated
  onTestFailed(async () => console.log(await desk.story()))
  const mark = `mark-${name}-${Date.now()}`
  const { id } = await desk.sdk.create({ name, command: `exec -a ${mark} sleep 600` })
  return { id, mark }
}

async function running(name: string) {
  const made = await sleeper(name)
  await desk.sdk.setDesiredState(made.id, 'RUNNING')
  const { job_id: jobId } = await desk.sdk.waitFor(made.id, 'running', WAIT)
  return { ...made, jobId: jobId! }
}

const post = (path: string, body: unknown): Promise<Response> =>
  fetch(desk.url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })

/** Every second word is another wish, so each that arrives is one more generation. */
const turns = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => (index % 2 === 0 ? 'TERMINATED' : 'STOPPED'))

/** One after the other, as one person at a terminal would. */
async function signalAll(id: number, words: readonly string[]): Promise<void> {
  for (const word of words) await handleOf(id).signal('setDesiredState', word)
}

describe('the worker', () => {
  test('row 2: it is stopped for a new release and no workflow task is cut short', async () => {
    const many = await Promise.all(Array.from({ length: 5 }, (_, index) => sleeper(`release-${index}`)))
    const before = await Promise.all(many.map(async ({ id }) => (await stateOf(id)).desired.generation))
    const old = pidOf('worker')
    const wishes = Promise.all(many.map(({ id }) => signalAll(id, turns(40))))
    process.kill(old, 'SIGTERM')
    await wishes
    await expect
      .poll(() => desk.pids().some(({ name, pid }) => name === 'worker' && pid !== old), POLL)
      .toBe(true)
    for (const [index, { id }] of many.entries()) {
      await expect
        .poll(async () => (await stateOf(id)).desired, POLL)
        .toMatchObject({ state: 'STOPPED', generation: before[index]! + 40 })
      const cutShort = (await eventsOf(id)).filter(
        ({ workflowTaskTimedOutEventAttributes: timedOut }) =>
          Number(timedOut?.timeoutType) === START_TO_CLOSE,
      )
      expect(cutShort).toEqual([])
    }
  })

  test('row 3: all workers are away while 500 wishes are sent: none is lost, and one without an answer is told so', async () => {
    const many = await Promise.all(Array.from({ length: 5 }, (_, index) => sleeper(`away-${index}`)))
    const before = await Promise.all(many.map(async ({ id }) => (await stateOf(id)).desired.generation))
    const thaw = freeze('worker')
    await Promise.all(many.map(({ id }) => signalAll(id, [...turns(99), 'RUNNING'])))
    const unanswered = await post(`/api/experiments/${many[0]!.id}/state`, { desired_state: 'RUNNING' })
    expect(unanswered.status).toBe(503)
    expect(await desk.submitted('away-')).toBe(0)
    thaw()
    for (const [index, { id, mark }] of many.entries()) {
      await desk.sdk.waitFor(id, 'running', WAIT)
      expect((await stateOf(id)).desired).toMatchObject({
        state: 'RUNNING',
        generation: before[index]! + 100,
      })
      expect(alive(mark)).toBe(1)
    }
    expect(await desk.submitted('away-')).toBe(5)
    await Promise.all(many.map(({ id }) => desk.sdk.setDesiredState(id, 'STOPPED')))
  })

  test('row 5: it is frozen within a launch until it counts as dead, and thawed: one job', async () => {
    await desk.faults([{ match: '/jobs/launch', kind: 'delay', delayMs: 2_000, times: 1 }])
    const { id, mark } = await sleeper('frozen')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await expect.poll(() => alive(mark), POLL).toBe(1)
    const thaw = freeze('worker')
    // Longer than a heartbeat may be missing, so that what it did is given out again.
    await sleep(15_000)
    thaw()
    await desk.sdk.waitFor(id, 'running', WAIT)
    expect(alive(mark)).toBe(1)
    expect(await desk.submitted('frozen-')).toBe(1)
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(alive(mark)).toBe(0)
  })

  test('row 13: a launch that is followed for longer than a heartbeat may be missing is one attempt', async () => {
    await desk.faults([{ match: '/jobs/launch', kind: 'hold', delayMs: 25_000, times: 1 }])
    const { id, mark } = await sleeper('slow')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await desk.sdk.waitFor(id, 'running', WAIT)
    expect(alive(mark)).toBe(1)
    expect(await desk.submitted('slow-')).toBe(1)
    // Temporal writes down which try it was only when it has ended.
    await expect.poll(() => launchTries(id), POLL).toEqual([1])
  })
})

/** Which try of each launch it was that ended. */
async function launchTries(id: number) {
  const events = await eventsOf(id)
  const launches = new Set(
    events
      .filter((event) => event.activityTaskScheduledEventAttributes?.activityType?.name === 'followLaunch')
      .map(({ eventId }) => String(eventId)),
  )
  return events.flatMap(({ activityTaskStartedEventAttributes: started }) =>
    started && launches.has(String(started.scheduledEventId)) ? [started.attempt] : [],
  )
}

/** Temporal's number of a workflow task whose worker took it and never finished it. */
const START_TO_CLOSE = 1

test('row 7: Temporal is away: pages still show, wishes are answered with 503, and nothing is made up', async () => {
  const { id, mark } = await running('calm')
  const thaw = freeze('temporal')
  for (const path of ['/', '/api/experiments']) expect((await fetch(desk.url + path)).status).toBe(200)
  expect((await post(`/api/experiments/${id}/state`, { desired_state: 'STOPPED' })).status).toBe(503)
  expect(await desk.sdk.get(id)).toMatchObject({ phase: 'running', desired_state: 'RUNNING' })
  expect(alive(mark)).toBe(1)
  thaw()
  await expect
    .poll(
      () => post(`/api/experiments/${id}/state`, { desired_state: 'STOPPED' }).then(({ status }) => status),
      POLL,
    )
    .toBe(200)
  await desk.sdk.waitFor(id, 'stopped', WAIT)
  expect(alive(mark)).toBe(0)
  expect(await desk.submitted('calm-')).toBe(1)
})

describe('what others do at SkyPilot', () => {
  const byHand = (name: string, mark: string) =>
    desk.skypilot('/jobs/launch', { name, task: JSON.stringify({ name, run: `exec -a ${mark} sleep 600` }) })

  test('row 17: a job that somebody cancels is not started again', async () => {
    const { id, mark, jobId } = await running('cancelled')
    await desk.skypilot('/jobs/cancel', { job_ids: [jobId] })
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    // What must not happen has time to happen.
    await sleep(5_000)
    expect(alive(mark)).toBe(0)
    expect(await desk.submitted('cancelled-')).toBe(1)
  })

  test('row 18: a job under our bare name beside a running one is told of, and left alone', async () => {
    const { id, mark } = await running('twin')
    const other = `mark-other-${Date.now()}`
    await byHand('twin', other)
    await expect.poll(async () => (await stateOf(id)).foreign.length, POLL).toBe(1)
    expect((await desk.sdk.get(id)).phase).toBe('running')
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(alive(mark)).toBe(0)
    expect(alive(other)).toBe(1)
    expect(await desk.submitted('twin-')).toBe(1)
  })

  test('row 19: a job of no experiment becomes an orphan, and nobody touches it', async () => {
    const mark = `mark-stranger-${Date.now()}`
    await byHand('stranger', mark)
    await expect
      .poll(async () => (await desk.sdk.orphans()).map(({ name }) => name), POLL)
      .toContain('stranger')
    await sleep(3_000)
    expect(alive(mark)).toBe(1)
    const effects = (await desk.ledger())
      .filter(({ name }) => name === 'stranger')
      .map(({ effect }) => effect)
    expect(effects).not.toContain('cancelled')
    expect(effects).toContain('submitted')
  })
})

describe('names and pages', () => {
  test('row 20: deleted and created again at once: another experiment, and the old job is gone', async () => {
    const old = await running('phoenix')
    await desk.sdk.delete(old.id)
    const young = await desk.sdk.create({ name: 'phoenix', command: 'true' })
    expect(young.id).not.toBe(old.id)
    expect([404, 409]).toContain(
      (await post(`/api/experiments/${old.id}/state`, { desired_state: 'RUNNING' })).status,
    )
    await expect.poll(() => alive(old.mark), POLL).toBe(0)
    expect(await desk.sdk.get('phoenix')).toMatchObject({ id: young.id, phase: 'idle', run: 0 })
    await handleOf(old.id).result()
    expect(await desk.submitted('phoenix-')).toBe(1)
  })

  test('row 21: a page that is out of date is answered with 409, and changes nothing', async () => {
    const { id } = await desk.sdk.create({ name: 'stale-page', command: 'true' })
    const { generation } = (await stateOf(id)).desired
    await desk.sdk.setDesiredState(id, 'TERMINATED')
    const body = { desired_state: 'RUNNING', if_generation: generation }
    expect((await post(`/api/experiments/${id}/state`, body)).status).toBe(409)
    expect((await stateOf(id)).desired).toMatchObject({ state: 'TERMINATED', generation: generation + 1 })
    expect(await desk.submitted('stale-page-')).toBe(0)
  })

  test('row 23: of 50 that create one name at once one does', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => post('/api/experiments', { name: 'fought-over', command: 'true' })),
    )
    const refused = answers.filter(({ status }) => status === 409)
    expect(refused).toHaveLength(49)
    expect(answers.filter(({ ok }) => ok)).toHaveLength(1)
    expect((await desk.sdk.list({ search: 'fought-over' })).map(({ name }) => name)).toEqual(['fought-over'])
  })
})

describe('others are away', () => {
  const skypilotError = async (): Promise<string | null> => {
    const health = (await (await fetch(`${desk.url}/api/health`)).json()) as {
      skypilot: { error: string | null }
    }
    return health.skypilot.error
  }

  test('row 40: Postgres is away: starts and stops are carried out, and the tables catch up', async () => {
    const ending = await running('table-ending')
    const starting = await sleeper('table-starting')
    const thaw = freeze('postgres')
    await handleOf(ending.id).signal('setDesiredState', 'STOPPED')
    await handleOf(starting.id).signal('setDesiredState', 'RUNNING')
    await expect.poll(() => alive(ending.mark), POLL).toBe(0)
    await expect.poll(() => desk.submitted('table-starting-'), POLL).toBe(1)
    thaw()
    await desk.sdk.waitFor(ending.id, 'stopped', WAIT)
    await desk.sdk.waitFor(starting.id, 'running', WAIT)
    expect(alive(starting.mark)).toBe(1)
    expect(await desk.submitted('table-')).toBe(2)
    await expect.poll(async () => (await desk.sdk.get(starting.id)).desired_state, POLL).toBe('RUNNING')
    await desk.sdk.setDesiredState(starting.id, 'STOPPED')
  })

  test('row 44: two look-outs at once tell nothing twice', async () => {
    const second = await temporal.workflow.start('fleet', { taskQueue: 'skydeck', workflowId: 'fleet-2' })
    try {
      await expect
        .poll(async () => (await second.describe()).raw.pendingActivities?.map(({ state }) => state), POLL)
        .toEqual([STARTED])
      const { id, mark } = await running('watched-twice')
      await desk.sdk.setDesiredState(id, 'STOPPED')
      await desk.sdk.waitFor(id, 'stopped', WAIT)
      expect(alive(mark)).toBe(0)
      expect(await desk.submitted('watched-twice-')).toBe(1)
      const answer = await fetch(`${desk.url}/api/experiments/${id}/events`)
      const { events } = (await answer.json()) as { events: Array<{ kind: string; text: string }> }
      const told = events.map(({ kind, text }) => `${kind} ${text}`)
      expect(told.length).toBeGreaterThan(3)
      expect(told).toEqual([...new Set(told)])
    } finally {
      await second.terminate()
    }
  })

  test('row 46: SkyPilot answers 500 for a while: it is not stormed, and all goes on afterwards', async () => {
    const { id, mark } = await running('stormy')
    // The fault is used up by so many requests; one that stands has seen less.
    const most = 10 * AWAY_S
    await desk.faults([{ match: '/', kind: 'status', status: 500, times: most }])
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await expect.poll(skypilotError, POLL).not.toBeNull()
    await sleep(AWAY_S * 1_000)
    expect(await skypilotError()).not.toBeNull()
    expect(await (await fetch(`${desk.skypilotUrl}/local/faults`)).json()).toHaveLength(1)
    expect(alive(mark)).toBe(1)
    await desk.faults([])
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(alive(mark)).toBe(0)
    expect(await desk.submitted('stormy-')).toBe(1)
  })

  test('row 48: SkyPilot was replaced by one that speaks another version: it is named, and nothing is launched', async () => {
    const { id, mark } = await running('versions')
    const next = await sleeper('next-version')
    await desk.faults([{ match: '/', kind: 'version-bump', apiVersion: '999', minVersion: 999 }])
    await expect.poll(skypilotError, POLL).toMatch(/999/)
    await desk.sdk.setDesiredState(next.id, 'RUNNING')
    await sleep(5_000)
    expect(await desk.sdk.get(id)).toMatchObject({ phase: 'running' })
    expect(alive(mark)).toBe(1)
    expect(await desk.submitted('next-version-')).toBe(0)
    await desk.faults([])
    await desk.sdk.setDesiredState(next.id, 'RUNNING')
    await desk.sdk.waitFor(next.id, 'running', WAIT)
    expect(alive(next.mark)).toBe(1)
    expect(await desk.submitted('next-version-')).toBe(1)
  })
})

const AWAY_S = 12

/** Temporal's number of an activity that a worker has taken. */
const STARTED = 2
