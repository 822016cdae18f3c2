import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { fenceToken } from '../../runtime/fence-token.ts'
import { SkyDeckError } from '../../sdk/client.ts'
import { TestDesk } from '../support/desk.ts'

const run = promisify(execFile)
let desk: TestDesk

beforeAll(async () => {
  desk = await TestDesk.create()
})
afterAll(() => desk?.dispose())

const example = (name: string) =>
  run(process.execPath, [new URL(`../../examples/${name}`, import.meta.url).pathname], {
    env: { ...process.env, SKYDECK_URL: desk.url },
  })

test('one experiment, from its creation to its output', async () => {
  const { stdout } = await example('one-experiment.ts')
  expect(stdout).toContain('training ppo-')
  expect(stdout).toContain('seed=7 trainer.learning_rate=0.0003')
  expect(stdout).toContain('epoch 3')
  expect(stdout).toContain('succeeded, exit code 0')
})

test('the grid of 2 x 4', async () => {
  const { stdout } = await example('grid.ts')
  const lines = stdout.trim().split('\n')
  expect(lines).toHaveLength(8)
  for (const line of lines) expect(line).toContain('succeeded')
  const experiments = await desk.sdk.list({ search: 'grid-' })
  expect(experiments).toHaveLength(8)
})

test('what is refused says what, where and how to mend it', async () => {
  await expect(desk.sdk.create({ name: 'no good name!', command: 'true' })).rejects.toThrow(
    /name: a name starts with/,
  )
  await expect(desk.sdk.create({ name: 'x', nodes: 0 })).rejects.toThrow(
    'nodes: must be a whole number from 1 to 1000',
  )
  await expect(desk.sdk.get('nobody')).rejects.toMatchObject({
    status: 404,
    message: "Experiment 'nobody' not found",
  })
  await desk.sdk.create({ name: 'twice', command: 'true' })
  await expect(desk.sdk.create({ name: 'twice', command: 'true' })).rejects.toMatchObject({ status: 409 })
  await expect(desk.sdk.waitFor('twice', 'running', { timeoutMs: 300 })).rejects.toThrow(
    'twice is still idle, not running: never started',
  )
  expect(new SkyDeckError(0, 'x')).toBeInstanceOf(Error)
})

test('one that is started again until it succeeds', async () => {
  const { stdout } = await example('restarts.ts')
  expect(stdout).toMatch(
    /attempt 1: FAILED, exit code 75\nattempt 2: FAILED, exit code 75\nattempt 3: SUCCEEDED/,
  )
  expect(stdout).toMatch(/flaky-\d+: succeeded \(succeeded\)/)
  expect(stdout).toContain('now: priority, nodes; at the next run: nothing')
})

test('a hold, a deletion and its undoing', async () => {
  const { sdk } = desk
  const { id } = await sdk.create({ name: 'said', command: 'sleep 600', desiredState: 'RUNNING' })
  await sdk.waitFor(id, 'running')
  expect(await sdk.hold(id, 'looking')).toMatchObject({
    headline: 'held',
    held_by: expect.any(String) as string,
  })
  expect(await sdk.release(id)).toMatchObject({ held_by: null })
  await sdk.delete(id)
  await expect(sdk.get('said')).rejects.toMatchObject({ status: 404 })
  expect(await sdk.undelete(id)).toMatchObject({ id, name: 'said' })
  await sdk.waitFor(id, ['terminated', 'idle'])
  await sdk.setDesiredState(id, 'RUNNING')
  expect(await sdk.waitFor(id, 'running')).toMatchObject({ run: 2 })
  await sdk.delete(id)
})

test('a job takes the lease of its attempt before it begins, so that a second one is turned away', async () => {
  const { id } = await desk.sdk.create({ name: 'fenced', command: 'sleep 600', desiredState: 'RUNNING' })
  await desk.sdk.waitFor(id, 'running')
  const secret = readFileSync(join(desk.home, 'desk', 'fence-secret'), 'utf8')
  const token = fenceToken(secret, { experimentId: id, run: 1, attempt: 1 })
  const second = () =>
    fetch(`${desk.url}/api/fence/${id}/1/1`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ holder: 'a second job' }),
    })
  expect((await second()).status).toBe(409)
  await desk.sdk.delete(id)
})
