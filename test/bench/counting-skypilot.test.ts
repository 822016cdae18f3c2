import { afterEach, beforeEach, expect, test } from 'vitest'
import { CountingSkyPilot } from '../../bench/counting-skypilot.ts'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'

let counting: CountingSkyPilot
let client: SkyPilot

beforeEach(async () => {
  counting = await CountingSkyPilot.start()
  client = createSkyPilot({ endpoint: counting.url })
})
afterEach(() => counting.close())

async function launch(name: string): Promise<number> {
  const request = await client.jobs.launch({ name, task: 'run: true' })
  return (await request.result()).jobIds[0]!
}

test('the real client launches, finds, lists and cancels on it', async () => {
  expect(await client.health()).toMatchObject({ status: 'healthy' })
  const first = await launch('one-1.1.1')
  await launch('two-2.1.1')
  expect((await client.jobs.queue({ nameMatch: 'one-1.1.1' })).jobs.map(({ jobId }) => jobId)).toEqual([
    first,
  ])
  expect((await client.jobs.queue({ nameMatch: 'one-1.1.2' })).jobs).toEqual([])
  await (await client.jobs.cancel({ jobIds: [first] })).result()
  const live = await client.jobs.queue({ skipFinished: true, fields: ['job_name'] })
  expect(live.jobs.map(({ jobName, status }) => [jobName, status])).toEqual([['two-2.1.1', 'RUNNING']])
  const [ended] = (await client.jobs.queue({ jobIds: [first] })).jobs
  expect(ended).toMatchObject({ status: 'CANCELLED', scheduleState: 'DONE' })
  expect(await client.clusters.status()).toEqual({ clusters: [], unreadable: 0 })
})

test('it counts every request, and reading the counters starts them afresh', async () => {
  await launch('one-1.1.1')
  await client.jobs.queue({ skipFinished: true })
  const { requests, listingsAtMs } = counting.readCounters()
  expect(Object.fromEntries(requests)).toEqual({ '/jobs/launch': 1, '/jobs/queue/v2': 1, '/api/get': 2 })
  expect(listingsAtMs).toHaveLength(1)
  expect(counting.readCounters().requests.size).toBe(0)
})

test('a launch that is worked on shows among the active requests and counts as in flight', async () => {
  counting.launchMs = 60_000
  const { id } = await client.jobs.launch({ name: 'one-1.1.1', task: 'run: true' })
  const fields = ['request_id', 'name', 'status', 'request_body']
  expect(await client.requests.list({ fields })).toMatchObject([
    { requestId: id, name: 'sky.jobs.launch', body: { name: 'one-1.1.1' } },
  ])
  expect(counting.launchesInFlightMax).toBe(1)
})

test('a listing that is held comes when it is released, with what is so then', async () => {
  await launch('one-1.1.1')
  counting.hold()
  const listing = client.jobs.queue({ skipFinished: true })
  await expect.poll(() => counting.readCounters().listingsAtMs.length).toBe(1)
  const [job] = counting.jobs.values()
  counting.change(job!, { status: 'RECOVERING' })
  counting.release()
  expect((await listing).jobs[0]?.status).toBe('RECOVERING')
})

test('the next listing shows a change at once', async () => {
  await launch('one-1.1.1')
  const [job] = counting.jobs.values()
  const status = async () => (await client.jobs.queue({ skipFinished: true })).jobs[0]?.status
  expect(await status()).toBe('RUNNING')
  counting.change(job!, { status: 'STARTING' })
  expect(await status()).toBe('STARTING')
})
