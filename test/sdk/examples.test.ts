import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
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
