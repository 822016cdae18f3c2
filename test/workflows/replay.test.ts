import { readFileSync } from 'node:fs'
import type { Client } from '@temporalio/client'
import { Worker } from '@temporalio/worker'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { TestDesk } from '../support/desk.ts'

const dist = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).pathname

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

/** Runs the recorded history through the bundle that is shipped: what it decides must be what was decided. */
const replay = async (id: number): Promise<void> => {
  const options = {
    workflowBundle: { code: readFileSync(dist('workflow-bundle.js'), 'utf8') },
    dataConverter: { payloadConverterPath: dist('workflows/payload-converter.js') },
  }
  await Worker.runReplayHistory(options, await handleOf(id).fetchHistory(), `experiment-${id}`)
}

const STORIES: Record<string, (id: number) => Promise<unknown>> = {
  done: (id) => desk.sdk.waitFor(id, 'succeeded'),
  stopped: async (id) => {
    await desk.sdk.waitFor(id, 'running')
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped')
  },
  'changed-while-running': async (id) => {
    await desk.sdk.waitFor(id, 'running')
    await desk.sdk.setFlags(id, { lr: 2 })
    await desk.sdk.setDesiredState(id, 'TERMINATED')
    await desk.sdk.waitFor(id, 'terminated')
  },
  deleted: async (id) => {
    await desk.sdk.waitFor(id, 'running')
    await desk.sdk.delete(id)
    await handleOf(id).result()
  },
  pestered: async (id) => {
    await handleOf(id).signal('setDesiredState', { nonsense: true })
    await handleOf(id).signal('noSuchSignal')
    await desk.sdk.waitFor(id, 'running')
  },
}

test.each(Object.keys(STORIES))('the story "%s" replays, and is short enough to be read', async (name) => {
  const command = name === 'done' ? 'true' : 'sleep 600'
  const { id } = await desk.sdk.create({ name, command, desiredState: 'RUNNING' })
  await STORIES[name]!(id)
  const { events } = await handleOf(id).fetchHistory()
  expect(events!.length).toBeLessThan(100)
  await replay(id)
})

test('a quiet time costs no events', async () => {
  const { id } = await desk.sdk.create({ name: 'quiet', command: 'sleep 600', desiredState: 'RUNNING' })
  await desk.sdk.waitFor(id, 'running')
  const count = async () => (await handleOf(id).fetchHistory()).events?.length
  let last: number | undefined
  const isSettled = async () => last === (last = await count())
  await expect.poll(isSettled, { interval: 1_000, timeout: 20_000 }).toBe(true)
  // Ten looks of the fleet, each of which sees this job as it was.
  await new Promise((resolve) => setTimeout(resolve, 10_000))
  expect(await count()).toBe(last)
})

test('a stranger can read what an experiment is doing', async () => {
  const { id } = await desk.sdk.create({ name: 'readable', command: 'sleep 600', desiredState: 'RUNNING' })
  await desk.sdk.waitFor(id, 'running')
  const described = await handleOf(id).describe()
  expect(await described.staticSummary()).toBe('readable')
  expect(described.searchAttributes).toMatchObject({ SkyDeckState: ['running'], SkyDeckName: ['readable'] })
  const details = expect.stringContaining('wants **RUNNING**: running') as unknown
  expect(await handleOf(id).query('__temporal_workflow_metadata')).toMatchObject({ currentDetails: details })
  expect(await handleOf(id).query('explain')).toMatchObject({ phase: 'running', why: 'running' })
})

test('cancelling in the Temporal UI cleans up, then ends', async () => {
  const { id } = await desk.sdk.create({ name: 'cancelled', command: 'sleep 600', desiredState: 'RUNNING' })
  const { job_id: jobId } = await desk.sdk.waitFor(id, 'running')
  await handleOf(id).cancel()
  await handleOf(id).result()
  const ledger = await desk.ledger()
  expect(ledger.some((entry) => entry.job_id === jobId && entry.effect === 'cancelled')).toBe(true)
})
