import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type ContractServer,
  needs,
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
afterAll(() => server.close(), STEP_MS)

const LONG = { timeoutMs: STEP_MS }

describe('what there is to run on', { timeout: TEST_MS }, () => {
  test('it is the same whoever is asked: clouds by workspace, clouds by name', async () => {
    const checked = await sky.check(LONG)
    const clouds = Object.values(checked).flatMap((workspace) => Object.keys(workspace))
    expect(clouds.length).toBeGreaterThan(0)
    const enabled = await sky.enabledClouds(LONG)
    expect(enabled.map((cloud) => cloud.toLowerCase())).toEqual(
      expect.arrayContaining(clouds.map((cloud) => cloud.toLowerCase())),
    )
  })

  test('accelerators are listed by name, and by how many of one a machine can have', async (context) => {
    needs('catalogues of clouds', context)
    const offers = await sky.listAccelerators({ name: 'H100', ...LONG })
    for (const [name, each] of offers) {
      expect(name).toMatch(/H100/)
      for (const offer of each) expect(offer).toMatchObject({ count: expect.any(Number) as number })
    }
    const counts = await sky.listAcceleratorCounts(LONG)
    for (const each of counts.values()) expect(each.every((count) => count > 0)).toBe(true)
  })
})

describe('a task that is not launched', { timeout: TEST_MS }, () => {
  test('is found to be one that can run', async () => {
    const task = taskOf({ run: 'true' })
    await expect(sky.validate({ task })).resolves.toBeUndefined()
    expect(await outcomeOf(sky.optimize({ task }).then((request) => request.result(LONG)))).toBe('ok')
  })

  test('is refused where it cannot be one', async () => {
    expect(await outcomeOf(sky.validate({ task: 'num_nodes: many' }))).toMatch(/^rejected/)
    const greedy = taskOf({ run: 'true', resources: { cpus: 100_000 } })
    const asked = sky.optimize({ task: greedy }).then((request) => request.result(LONG))
    expect(await outcomeOf(asked)).toMatch(/^rejected/)
  })
})

test('the server tells its version, and that it is well', async () => {
  expect(await sky.apiInfo()).toMatchObject({ status: 'healthy' })
})
