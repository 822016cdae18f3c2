import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createFindLaunch, type FindLaunch } from '../../activities/find-launch.ts'
import { createLaunches, type LaunchOrder } from '../../activities/launch.ts'
import { createLaunchGate } from '../../activities/launch-gate.ts'
import { buildTask, taskYaml } from '../../core/build-task.ts'
import { type Fence, FENCED_EXIT_CODE } from '../../core/fence.ts'
import { specWith } from '../support/experiments.ts'
import { ActivityBench, surroundings, unreadable } from './bench.ts'

const bench = new ActivityBench()
beforeAll(() => bench.start())
afterEach(async () => {
  bench.tamper = null
  await bench.faults()
})
afterAll(() => bench.server.dispose())

const OFF: Fence = { mode: 'off', url: '', token: '' }

const launches = (fence = OFF, find = createFindLaunch(bench.sky)) =>
  createLaunches({
    skypilot: bench.sky,
    find,
    gate: createLaunchGate(bench.sky, 10),
    fenceOf: () => fence,
    askForLook: () => Promise.resolve(),
  })

/** The first attempt of an experiment that is named after its number. */
function orderOf(experimentId: number, over: Partial<LaunchOrder> = {}): LaunchOrder {
  const identity = { experimentId, run: 1, attempt: 1 }
  const command = { form: 'template', template: 'sleep 600', flagStyle: 'key=value' } as const
  const name = `exp-${experimentId}.1.1`
  const task = { ...buildTask({ ...identity, name: 'exp' }, specWith({ command })), name }
  return {
    how: 'job',
    name,
    clusterName: null,
    identity,
    task,
    unsureBefore: false,
    waitsForMaking: true,
    ...over,
  }
}

const taskOf = ({ task }: LaunchOrder): string => taskYaml(task)

describe('before a launch', () => {
  test('a job that has its name is taken up, and no other is made', async () => {
    const order = orderOf(1)
    const { jobIds } = await (await bench.sky.jobs.launch({ name: order.name, task: taskOf(order) })).result()
    const outcome = await bench.run(() => launches().requestLaunch(order))
    expect(outcome).toEqual({ kind: 'found', jobId: jobIds[0] })
    expect(await bench.submitted(order.name)).toBe(1)
  })

  test('a request for it that is under way is taken up, and no other is sent', async () => {
    const order = orderOf(2)
    await bench.faults({ match: '/jobs/launch', kind: 'hold', delayMs: 1_000, times: 1 })
    const request = await bench.sky.jobs.launch({ name: order.name, task: taskOf(order) })
    const outcome = await bench.run(() => launches().requestLaunch(order))
    expect(outcome).toEqual({ kind: 'requested', requestId: request.id })
    await request.result()
    expect(await bench.submitted(order.name)).toBe(1)
  })

  test('what is on its way to its cluster, or there already, is taken up', async () => {
    const order = orderOf(3, { how: 'cluster', clusterName: 'exp-3' })
    const make = () => bench.sky.clusters.launch({ name: 'exp-3', task: taskOf(order) })
    const request = await make()
    const outcome = await bench.run(() => launches().requestLaunch(order))
    expect(outcome).toEqual({ kind: 'requested', requestId: request.id })
    const { jobId } = await request.result()
    await (await make()).result()
    // Of two the older one.
    expect(await bench.run(() => launches().requestLaunch(order))).toEqual({ kind: 'found', jobId })
  })

  test('a queue that cannot be read in full proves nothing, and nothing is launched', async () => {
    await (await bench.sky.jobs.launch({ name: 'exp-4.1.10', task: taskOf(orderOf(4)) })).result()
    bench.tamper = unreadable
    const order = orderOf(4)
    const outcome = bench.run(() => launches().requestLaunch(order)).then(JSON.stringify, String)
    expect(await outcome).toContain('could not be read')
    expect(await bench.submitted(order.name)).toBe(0)
  })
})

/** Lets a launch come through that nobody knew of, after the first look for it, in the pause before the second. */
async function shownInThePause(order: LaunchOrder, attempt: number) {
  const looked = Promise.withResolvers<void>()
  const find: FindLaunch = async (launch) => {
    const found = await createFindLaunch(bench.sky)(launch)
    looked.resolve()
    return found
  }
  const outcome = bench.run(() => launches(OFF, find).requestLaunch(order), { attempt })
  await looked.promise
  await sleep(500)
  const { jobIds } = await (await bench.sky.jobs.launch({ name: order.name, task: taskOf(order) })).result()
  return { outcome: await outcome, jobId: jobIds[0] }
}

describe.concurrent('a launch that may have been made', () => {
  test('is looked for twice, with a pause in which it can show itself', async () => {
    const order = orderOf(5, { unsureBefore: true })
    const { outcome, jobId } = await shownInThePause(order, 1)
    expect(outcome).toEqual({ kind: 'found', jobId })
    expect(await bench.submitted(order.name)).toBe(1)
  })

  test('is looked for twice when Temporal tries again, too', async () => {
    const order = orderOf(6)
    const { outcome, jobId } = await shownInThePause(order, 2)
    expect(outcome).toEqual({ kind: 'found', jobId })
    expect(await bench.submitted(order.name)).toBe(1)
  })

  test('is not made when it is stopped in that pause', async () => {
    const order = orderOf(7, { unsureBefore: true })
    const unwanted = surroundings()
    const outcome = unwanted.run(() => launches().requestLaunch(order)).then(JSON.stringify, String)
    await sleep(500)
    unwanted.cancel()
    expect(await outcome).toMatch(/cancel/i)
    expect(await bench.submitted(order.name)).toBe(0)
  })

  test('is made when nothing of it was found twice', async () => {
    const order = orderOf(8, { unsureBefore: true })
    const outcome = await bench.run(() => launches().requestLaunch(order))
    expect(outcome).toMatchObject({ kind: 'requested' })
  })
})

test('the first that a job does is to ask at the fence', async () => {
  const order = orderOf(9)
  const fence: Fence = { mode: 'require', url: 'http://127.0.0.1:1/', token: 't' }
  const outcome = await bench.run(() => launches(fence).requestLaunch(order))
  if (outcome.kind !== 'requested') throw new Error(`it was ${outcome.kind}`)
  const found = await bench.run(() =>
    launches().followLaunch({ requestId: outcome.requestId, clusterName: null }),
  )
  if (found.kind !== 'found') throw new Error(`it was ${found.kind}`)
  const { failure_reason: reason } = await bench.server.until(found.jobId, 'FAILED', 10_000)
  expect(reason).toContain(`exit code ${FENCED_EXIT_CODE}`)
})

describe('a launch that was taken', () => {
  test('and that SkyPilot does not know any more may be worked on: that proves nothing', async () => {
    const requestId = randomUUID()
    for (const clusterName of [null, 'exp-10'])
      expect(await bench.run(() => launches().followLaunch({ requestId, clusterName }))).toMatchObject({
        kind: 'unsure',
        isForgotten: true,
      })
  })

  test('and is aborted makes no job', async () => {
    const order = orderOf(11)
    await bench.faults({ match: '/jobs/launch', kind: 'hold', delayMs: 500, times: 1 })
    const request = await bench.sky.jobs.launch({ name: order.name, task: taskOf(order) })
    await bench.run(() => launches().abortLaunch(request.id))
    const outcome = await bench.run(() =>
      launches().followLaunch({ requestId: request.id, clusterName: null }),
    )
    expect(outcome).toMatchObject({ kind: 'unsure', isForgotten: false })
    await sleep(600)
    expect(await bench.submitted(order.name)).toBe(0)
  })
})
