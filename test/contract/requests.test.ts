import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CAPABILITIES } from './capabilities.ts'
import {
  type ContractServer,
  nameOf,
  outcomeOf,
  startContractServer,
  STEP_MS,
  taskOf,
  TEST_MS,
} from './server.ts'

let server: ContractServer
let sky: ContractServer['sky']

beforeAll(async () => {
  server = await startContractServer()
  sky = server.sky
})
afterAll(() => server.close())

test('it says who it is, in a version that can be relied on', async () => {
  expect(await sky.health()).toMatchObject({ status: 'healthy' })
})

describe('requests', { timeout: TEST_MS }, () => {
  test('the result of one that has ended can be asked for again and again', async () => {
    const handle = await sky.clusters.launch({
      name: nameOf('dry'),
      dryrun: true,
      task: taskOf({ run: 'true' }),
    })
    const first = await handle.result({ timeoutMs: STEP_MS })
    expect(await handle.result()).toEqual(first)
    expect(await sky.requests.get(JSON.parse(JSON.stringify(handle)) as string)).toMatchObject({
      status: 'SUCCEEDED',
      name: 'sky.launch',
    })
    const attached = sky.requests.attach(JSON.parse(JSON.stringify(handle)) as string, 'launch')
    expect(await attached.streamAndGet(() => undefined)).toEqual(first)
  })

  test('finished ones are only listed when they are asked for, trimmed to the fields that are named', async () => {
    const name = nameOf('listed')
    const handle = await sky.clusters.launch({ name, dryrun: true, task: taskOf({ run: 'true' }) })
    await handle.result({ timeoutMs: STEP_MS })
    const query = { clusterName: name, fields: ['request_id', 'name', 'status'] }
    expect(await sky.requests.list(query)).toEqual([])
    const [listed] = await sky.requests.list({ ...query, allStatus: true })
    expect(listed).toMatchObject({ requestId: handle.id, name: 'sky.launch', status: 'SUCCEEDED' })
    expect(listed?.body ?? null).toBeNull()
  })

  test('a cancelled one says so, and cancelling what has ended is no error', async () => {
    const name = nameOf('given-up')
    const handle = await sky.clusters.launch({ name, task: taskOf({ run: 'true' }) })
    await handle.cancel()
    expect(await outcomeOf(handle.result({ timeoutMs: STEP_MS }))).toBe('cancelled')
    expect(await outcomeOf(handle.cancel())).toBe('ok')
    const gone = await sky.clusters.down({ name })
    expect(await outcomeOf(gone.result({ timeoutMs: STEP_MS }))).toMatch(/^ok$|ClusterDoesNotExist$/)
  })

  test('a task that cannot be read is rejected', async () => {
    const broken = sky.jobs.launch({ name: nameOf('broken'), task: 'num_nodes: [1' })
    expect(await outcomeOf(broken.then((request) => request.result()))).toMatch(/^rejected/)
  })

  test('an id that nobody gave is not found', async () => {
    const unknown = '00000000-0000-4000-8000-000000000000'
    await expect(sky.requests.get(unknown)).rejects.toMatchObject({ kind: 'not-found' })
  })
})

test('the page about the real server names everything that it cannot do', () => {
  const page = readFileSync(new URL('../../docs/skypilot-real.md', import.meta.url), 'utf8')
  const rows = page.split('\n').map((line) => line.split('|').map((cell) => cell.trim()))
  for (const [name, { real }] of Object.entries(CAPABILITIES))
    expect(rows).toContainEqual(['', name, real, ''])
})
