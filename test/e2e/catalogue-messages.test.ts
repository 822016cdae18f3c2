import { rmSync } from 'node:fs'
import type { Client } from '@temporalio/client'
import { temporal as protocol } from '@temporalio/proto'
import { NativeConnection, Worker } from '@temporalio/worker'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Experiment } from '../../core/experiment.ts'
import type { Receipt } from '../../core/receipt.ts'
import { createExperiments } from '../../sdk/experiments.ts'
import { historiesOf, taskFailureOf } from '../chaos/histories.ts'
import { processesWith, TestDesk } from '../support/desk.ts'
import { fresh } from '../support/experiments.ts'
import { temporalWith } from '../support/temporal-settings.ts'

// The rows of docs/failure-catalogue.md about messages and long histories, by their numbers. Temporal suggests a
// new run after a few dozen events here, so that every one of these workflows lives through several.

const EVENTS_MAX = 60

const shortHistories = temporalWith([`limit.historyCount.suggestContinueAsNew=${EVENTS_MAX}`])
let desk: TestDesk
let temporal: Client

beforeAll(async () => {
  desk = await TestDesk.create(50, { SKYDECK_TEMPORAL_BIN: shortHistories.bin })
  temporal = await desk.temporal()
})
afterEach(() => desk.faults([]))
afterAll(async () => {
  await temporal?.connection.close()
  await desk?.dispose()
  rmSync(shortHistories.folder, { recursive: true, force: true })
})

const dist = (path: string): string => new URL(`../../dist/${path}`, import.meta.url).pathname
const WAIT = { timeoutMs: 90_000 }
const POLL = { timeout: 90_000, interval: 250 }

const alive = (mark: string): number => processesWith(mark).length
const handleOf = (id: number) => temporal.workflow.getHandle(`experiment-${id}`)
const stateOf = (id: number): Promise<Experiment> => handleOf(id).query<Experiment>('getState')
const runsOf = (id: number) => historiesOf(temporal, `experiment-${id}`)
const failuresOf = async (id: number): Promise<string[]> =>
  (await runsOf(id)).flatMap(({ events }) => (events ?? []).flatMap(taskFailureOf))

const post = (path: string, body: unknown): Promise<Response> =>
  fetch(desk.url + path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })

/** Past our own converter, which would refuse it. */
const signalRaw = (id: number, signalName: string, encoding: string, data: string) =>
  temporal.workflowService.signalWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: `experiment-${id}` },
    signalName,
    input: { payloads: [{ metadata: { encoding: Buffer.from(encoding) }, data: Buffer.from(data) }] },
  })

/** It answers, it does as it is told, and no workflow task of it ever failed. */
async function expectWell(id: number): Promise<void> {
  await desk.sdk.setDesiredState(id, 'RUNNING')
  await desk.sdk.waitFor(id, 'succeeded', WAIT)
  expect(await failuresOf(id)).toEqual([])
}

describe('messages that nobody should send', () => {
  test('row 27: what is too long is refused at the door, and past it does no harm', async () => {
    const flags = Object.fromEntries(Array.from({ length: 1_001 }, (_, index) => [`flag${index}`, index]))
    for (const more of [{ command: 'x'.repeat(65_537) }, { flags }]) {
      const answer = await post('/api/experiments', { name: 'too-long', command: 'true', ...more })
      expect([413, 422]).toContain(answer.status)
    }
    expect(await desk.sdk.list({ search: 'too-long' })).toEqual([])
    const { id } = await desk.sdk.create({ name: 'stuffed', command: 'true' })
    expect([413, 422]).toContain((await post(`/api/experiments/${id}/flags`, { flags })).status)
    const { badMessages } = await stateOf(id)
    const huge = { flags: { text: 'x'.repeat(1_900_000) } }
    await handleOf(id).signal('setFlags', huge)
    const receipt = await handleOf(id).executeUpdate<{ accepted: boolean }, [unknown]>('setFlags', {
      args: [huge],
    })
    expect(receipt.accepted).toBe(false)
    const after = await stateOf(id)
    expect(after.badMessages).toBe(badMessages + 2)
    expect(JSON.stringify(after).length).toBeLessThan(20_000)
    await expectWell(id)
  })

  test('row 28: wishes and looks of a wrong shape are counted, and no workflow task fails', async () => {
    const { id } = await desk.sdk.create({ name: 'shapes', command: 'true' })
    const { badMessages, spec, desired } = await stateOf(id)
    const shapes: Array<[string, unknown]> = [
      ['setDesiredState', {}],
      ['setDesiredState', null],
      ['setFlags', 7],
      ['edit', { spec: { nodes: 'many' } }],
      ['adopt', {}],
      ['confirmGone', {}],
      ['observe', {}],
      ['observe', [null]],
    ]
    for (const [name, value] of shapes) await handleOf(id).signal(name, value)
    await expect.poll(async () => (await stateOf(id)).badMessages, POLL).toBe(badMessages + shapes.length)
    expect(await stateOf(id)).toMatchObject({ spec, desired })
    await expectWell(id)
  })

  test('row 29: bytes that nothing can decode are counted, and no workflow task fails', async () => {
    const { id } = await desk.sdk.create({ name: 'encrypted', command: 'true' })
    const { badMessages, spec, desired } = await stateOf(id)
    const wishes = ['setDesiredState', 'setFlags', 'adopt', 'observe', 'noSuchSignal']
    for (const name of wishes) await signalRaw(id, name, 'binary/encrypted', 'no key opens this')
    for (const name of wishes) await signalRaw(id, name, 'json/plain', '{"half": ')
    await expect.poll(async () => (await stateOf(id)).badMessages, POLL).toBe(badMessages + 2 * wishes.length)
    expect(await stateOf(id)).toMatchObject({ spec, desired })
    await expectWell(id)
  })

  test('row 30: unknown names are counted or refused, and the state does not grow', async () => {
    const { id } = await desk.sdk.create({ name: 'names', command: 'true' })
    const before = await stateOf(id)
    await expect(handleOf(id).executeUpdate('noSuchUpdate')).rejects.toBeInstanceOf(Error)
    await expect(handleOf(id).query('noSuchQuery')).rejects.toBeInstanceOf(Error)
    const count = 100
    for (let index = 0; index < count; index += 1)
      await handleOf(id).signal(`noSuchSignal${index}`, { index })
    await expect.poll(async () => (await stateOf(id)).badMessages, POLL).toBe(before.badMessages + count)
    const grown = JSON.stringify(await stateOf(id)).length - JSON.stringify(before).length
    expect(grown).toBeLessThan(500)
    await expectWell(id)
  })

  test('row 34: 300 signals that wait for one workflow task are all taken', async () => {
    const { id } = await desk.sdk.create({ name: 'burst', command: 'true' })
    const { badMessages } = await stateOf(id)
    const worker = desk.pids().find(({ name }) => name === 'worker')!.pid
    process.kill(worker, 'SIGSTOP')
    try {
      await Promise.all(
        Array.from({ length: 300 }, (_, index) => handleOf(id).signal('noSuchSignal', { index })),
      )
    } finally {
      process.kill(worker, 'SIGCONT')
    }
    await expect
      .poll(
        () =>
          stateOf(id).then(
            (state) => state.badMessages,
            () => null,
          ),
        POLL,
      )
      .toBe(badMessages + 300)
    await expectWell(id)
  })
})

describe('new runs under fire', () => {
  test('row 31: of 300 wishes, half of them with a receipt, none is lost, doubled or out of order', async () => {
    const { id } = await desk.sdk.create({ name: 'fire', command: 'true' })
    const first = (await stateOf(id)).desired.generation
    const experiments = createExperiments(temporal)
    const receipts: Receipt[] = []
    const words = Array.from({ length: 150 }, (_, index) => (index % 2 === 0 ? 'TERMINATED' : 'STOPPED'))
    for (const word of words) receipts.push(await experiments.setDesiredState(id, word, { actor: 'test' }))
    // Temporal keeps no order between a signal and an update, so one kind comes after the other.
    for (const word of words) await handleOf(id).signal('setDesiredState', word)
    expect(receipts).toMatchObject(
      words.map((_, index) => ({ accepted: true, generation: first + 1 + index })),
    )
    await expect
      .poll(async () => (await stateOf(id)).desired, POLL)
      .toMatchObject({ state: 'STOPPED', generation: first + 300 })
    expect((await runsOf(id)).length).toBeGreaterThan(5)
    await expectWell(id)
  })

  test('row 31: a wish that a failed task gave back is sent again, and taken once', async () => {
    const id = 990_001
    const queue = { namespace: 'default', taskQueue: 'by-hand', identity: 'by hand' }
    const createWorker = async (): Promise<Worker> =>
      Worker.create({
        connection: await NativeConnection.connect({ address: desk.temporalAddress }),
        taskQueue: queue.taskQueue,
        workflowBundle: { codePath: dist('workflow-bundle.js') },
        dataConverter: { payloadConverterPath: dist('workflows/payload-converter.js') },
        activities: { project: () => Promise.resolve() },
        // What it did goes to whoever asks next: nothing is kept for it.
        maxCachedWorkflows: 0,
      })
    const [before, after] = await Promise.all([createWorker(), createWorker()])
    await temporal.workflow.start('experiment', {
      workflowId: `experiment-${id}`,
      taskQueue: queue.taskQueue,
      args: [fresh()],
    })
    const isAtRest = async (): Promise<boolean> => (await stateOf(id)).projected > 0
    await before.runUntil(() => expect.poll(isAtRest, POLL).toBe(true))
    const receipt = createExperiments(temporal).hold(id, { actor: 'ann' })
    const task = await temporal.withDeadline(Date.now() + 20_000, () =>
      temporal.workflowService.pollWorkflowTaskQueue({ ...queue, taskQueue: { name: queue.taskQueue } }),
    )
    expect(task.messages).toHaveLength(1)
    await handleOf(id).signal('observe', [])
    const toEnd = temporal.workflowService.respondWorkflowTaskCompleted({
      ...queue,
      taskToken: task.taskToken,
      commands: [
        {
          commandType: protocol.api.enums.v1.CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
          completeWorkflowExecutionCommandAttributes: {},
        },
      ],
    })
    await expect(toEnd).rejects.toThrow('UnhandledCommand')
    await after.runUntil(async () => expect(await receipt).toMatchObject({ accepted: true }))
    const taken = (await runsOf(id)).flatMap(({ events }) =>
      (events ?? []).filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes),
    )
    expect(taken).toHaveLength(1)
    await handleOf(id).terminate()
  })

  test('row 32: a new run is wanted while a launch is on its way: it waits, and there is one job', async () => {
    await desk.faults([{ match: '/jobs/launch', kind: 'hold', delayMs: 8_000, times: 1 }])
    const mark = `mark-renewed-${Date.now()}`
    const { id } = await desk.sdk.create({ name: 'renewed', command: `exec -a ${mark} sleep 600` })
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await expect.poll(async () => (await stateOf(id)).attempt?.progress.phase, POLL).toBe('requested')
    const { badMessages } = await stateOf(id)
    for (let index = 0; index < 150; index += 1) await handleOf(id).signal('noSuchSignal', index)
    expect(alive(mark)).toBe(0)
    expect(await runsOf(id)).toHaveLength(1)
    await desk.sdk.waitFor(id, 'running', WAIT)
    await expect.poll(async () => (await runsOf(id)).length, POLL).toBeGreaterThan(1)
    expect((await stateOf(id)).badMessages).toBe(badMessages + 150)
    expect(alive(mark)).toBe(1)
    expect(await desk.submitted('renewed-')).toBe(1)
    expect(await failuresOf(id)).toEqual([])
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(alive(mark)).toBe(0)
  })
})

test('row 36: no workflow knows the word of another', async () => {
  const words = Array.from({ length: 60 }, (_, index) => `word-${index}-of-its-own`)
  const made = await Promise.all(
    words.map((word, index) =>
      desk.sdk.create({ name: `alone-${index}`, command: 'true', envs: { WORD: word } }),
    ),
  )
  await Promise.all(made.map(({ id }, index) => desk.sdk.setFlags(id, { word: words[index]! })))
  for (const [index, { id }] of made.entries()) {
    const text = JSON.stringify(await stateOf(id))
    expect([...new Set(text.match(/word-\d+-of-its-own/g))]).toEqual([words[index]])
  }
})
