import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { CountingSkyPilot } from '../../bench/counting-skypilot.ts'
import { Front } from '../support/front.ts'
import { POLL, Rig, WAIT } from '../support/rig.ts'

// Rows of docs/failure-catalogue.md that want a SkyPilot which counts, can be held, and answers whatever it is told to.

const IN_FLIGHT_MAX = 4
/** The look-out asks every second. */
const POLL_S = 1

let skypilot: CountingSkyPilot
let front: Front
let rig: Rig

beforeAll(async () => {
  skypilot = await CountingSkyPilot.start()
  front = await Front.before(skypilot.url)
  rig = await Rig.start(50, {
    SKYPILOT_API_SERVER_ENDPOINT: front.url,
    SKYDECK_POLL_INTERVAL: String(POLL_S),
    SKYDECK_LAUNCHES_IN_FLIGHT: String(IN_FLIGHT_MAX),
  })
})
afterEach(() => {
  skypilot.release()
  skypilot.launchMs = 0
  front.rewrite = (_path, answer) => answer
  front.instead = () => undefined
})
afterAll(async () => {
  await rig?.dispose()
  await front?.close()
  await skypilot?.close()
})

const create = (name: string, desiredState: 'RUNNING' | 'STOPPED' = 'STOPPED') =>
  rig.desk.sdk.create({ name, command: 'true', desiredState })

describe('row 27: SkyPilot answers with texts of 3 MiB', () => {
  const GIANT = 'x'.repeat(3 * 1024 * 1024)
  /** What a state may be at most: Temporal takes 2 MiB, and every new run carries it. */
  const STATE_MAX = 20_000

  /** No workflow task failed, and no activity result was too large. */
  async function expectSmall(id: number): Promise<void> {
    expect(await rig.failuresOf(id)).toEqual([])
    const sizes = (await rig.eventsOf(id)).map((event) => JSON.stringify(event).length)
    expect(Math.max(...sizes)).toBeLessThan(10 * STATE_MAX)
    expect(JSON.stringify(await rig.stateOf(id)).length).toBeLessThan(STATE_MAX)
  }

  const failed = (type: string) => ({
    status: 500,
    text: JSON.stringify({
      detail: {
        request_id: 'giant',
        name: 'giant',
        status: 'FAILED',
        error: JSON.stringify({ type, message: GIANT }),
      },
    }),
  })
  const refused = { status: 400, text: JSON.stringify({ detail: { type: 'ValueError', message: GIANT } }) }
  const fields = {
    status: 422,
    text: JSON.stringify({ detail: [{ loc: ['body', GIANT], msg: GIANT }] }),
  }

  test.each([
    ['the launch is refused', '/jobs/launch', refused],
    ['the fields of the launch are refused', '/jobs/launch', fields],
    ['the launch has failed', '/api/get', failed('ResourcesUnavailableError')],
  ])('row 27: %s', async (what, at, answer) => {
    const { id } = await create(what.replaceAll(' ', '-'))
    let isLaunched = at === '/jobs/launch'
    front.instead = (path) => (isLaunched && path.startsWith(at) ? answer : undefined)
    front.rewrite = (path, given) => {
      isLaunched ||= path.startsWith('/jobs/launch')
      return given
    }
    await rig.desk.sdk.setDesiredState(id, 'RUNNING')
    await rig.desk.sdk.waitFor(id, 'failed', WAIT)
    await expectSmall(id)
  })

  test('row 27: a job has giant fields, and then goes on as before', async () => {
    const { id, name } = await create('giant-fields', 'RUNNING')
    await rig.desk.sdk.waitFor(id, 'running', WAIT)
    const job = [...skypilot.jobs.values()].find(({ job_name: jobName }) => jobName.startsWith(name))!
    const giant = { status: GIANT, schedule_state: GIANT, details: GIANT, failure_reason: GIANT }
    skypilot.change(job, giant)
    await expect.poll(async () => (await rig.stateOf(id)).told.why, POLL).toContain('SkyPilot says xxx')
    await expectSmall(id)
    skypilot.change(job, { status: 'SUCCEEDED', schedule_state: 'DONE', end_at: Date.now() / 1_000 })
    await rig.desk.sdk.waitFor(id, 'succeeded', WAIT)
    await expectSmall(id)
  })
})

test('row 45: a look that takes much longer than the interval: never two at once, its age is shown, and nothing piles up', async () => {
  const { id } = await create('slow-look', 'RUNNING')
  await rig.desk.sdk.waitFor(id, 'running', WAIT)
  skypilot.hold()
  skypilot.readCounters()
  const HELD_S = 10
  // Who cannot wait and asks for a look makes no difference to that.
  const asked = Array.from({ length: 10 }, () => rig.post('/api/refresh', {}))
  await sleep(HELD_S * 1_000)
  const held = skypilot.readCounters().listingsAtMs.length
  expect(held).toBe(1)
  const { staleness_seconds: age } = await rig.health()
  expect(age).toBeGreaterThan(HELD_S - 2 * POLL_S)
  expect(age).toBeLessThan(HELD_S + 5)
  await Promise.all(asked)
  skypilot.release()
  await expect.poll(async () => (await rig.health()).staleness_seconds, POLL).toBeLessThan(2 * POLL_S)
  await sleep(3_000)
  expect(skypilot.readCounters().listingsAtMs.length).toBeLessThan(8)
  expect((await rig.desk.sdk.get(id)).phase).toBe('running')
})

test('row 53: 150 are started at once: never more than SkyPilot takes, each once, and a stop does not wait for them', async () => {
  const COUNT = 150
  const { id: early } = await create('early', 'RUNNING')
  await rig.desk.sdk.waitFor(early, 'running', WAIT)
  skypilot.launchMs = 250
  skypilot.launchesInFlightMax = 0
  skypilot.readCounters()
  const before = skypilot.launchedAtMs.size
  const waiting = Array.from({ length: COUNT }, (_, index) => `storm-${index}`)
  const starter = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await create(name, 'RUNNING')
  }
  await Promise.all(Array.from({ length: 10 }, starter))
  await rig.desk.sdk.setDesiredState(early, 'STOPPED')
  await rig.desk.sdk.waitFor(early, 'stopped', WAIT)
  expect(skypilot.launchedAtMs.size - before).toBeLessThan(COUNT)
  await expect.poll(() => skypilot.launchedAtMs.size - before, { ...POLL, timeout: 100_000 }).toBe(COUNT)
  await expect
    .poll(async () => {
      const storm = await rig.desk.sdk.list({ search: 'storm-' })
      return storm.filter(({ phase }) => phase === 'running').length
    }, POLL)
    .toBe(COUNT)
  expect(skypilot.readCounters().requests.get('/jobs/launch')).toBe(COUNT)
  expect(skypilot.launchesInFlightMax).toBeLessThanOrEqual(IN_FLIGHT_MAX)
})
