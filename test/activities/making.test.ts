import { expect, test } from 'vitest'
import { createFindLaunch, type Found } from '../../activities/find-launch.ts'
import { createLaunches, type LaunchOrder } from '../../activities/launch.ts'
import type { SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'
import { surroundings } from './bench.ts'

const NAME = 'exp-1.1.1'
const CLUSTER = 'exp-1'
const notUp = new SkyPilotError('rejected', 'it is not up', { exceptionName: 'ClusterNotUpError' })

const notSetUp = new SkyPilotError('rejected', "'exp-1' has been stopped or not properly set up.", {
  exceptionName: 'ClusterNotUpError',
})

const NO_JOBS = () => Promise.resolve({ jobs: [], unreadable: 0 })
const NOT_READY = () => Promise.reject(notUp)
const NOT_SET_UP = () => Promise.reject(notSetUp)

interface World {
  status: string | null
  everUp?: boolean
  queue?: () => Promise<unknown>
  requests?: unknown[]
  /** What SkyPilot says when it is told to ask the machines; unless said otherwise somebody is at work on them. */
  machines?: { status: string; writtenAnew: boolean } | null | SkyPilotError
}

/** What is found in such a world. */
function found({ status, everUp = false, queue = NO_JOBS, requests = [], machines }: World): Promise<Found> {
  const listed = ({ refresh }: { refresh: string }) => {
    const row = (shown: string, statusUpdatedAtMs: number) => ({
      name: CLUSTER,
      status: shown,
      statusUpdatedAtMs,
      everUp,
    })
    const known = status === null ? [] : [row(status, 1_000)]
    const list = (clusters: unknown[]) => Promise.resolve({ clusters, unreadable: 0 })
    if (refresh === 'NONE' || machines === undefined) return list(known)
    if (machines instanceof SkyPilotError) return Promise.reject(machines)
    return list(machines ? [row(machines.status, machines.writtenAnew ? 2_000 : 1_000)] : [])
  }
  const skypilot = {
    requests: { list: () => Promise.resolve(requests) },
    clusters: { status: listed, queue },
  }
  const find = createFindLaunch(skypilot as unknown as SkyPilot)
  return surroundings().run<[], Found, () => Promise<Found>>(() => find({ name: NAME, clusterName: CLUSTER }))
}

test('a cluster that is being made, by whom nobody knows, is a sign of it', async () => {
  expect(await found({ status: 'INIT' })).toEqual({ kind: 'making', byRequest: false })
})

test('a cluster that is up and not yet ready for jobs is a sign of it', async () => {
  expect(await found({ status: 'UP', queue: NOT_READY })).toEqual({ kind: 'making', byRequest: false })
})

test('a cluster that nobody is at work on any more is none, for whatever made it has died', async () => {
  const left = (status: string) => ({ status, writtenAnew: true })
  expect(await found({ status: 'INIT', machines: left('INIT') })).toEqual({ kind: 'empty' })
  expect(await found({ status: 'INIT', machines: left('UP') })).toEqual({ kind: 'empty' })
  expect(await found({ status: 'INIT', machines: null })).toEqual({ kind: 'empty' })
  expect(await found({ status: 'UP', queue: NOT_READY, machines: left('UP') })).toEqual({ kind: 'empty' })
  expect(await found({ status: 'INIT', queue: NOT_READY, machines: left('UP') })).toEqual({ kind: 'empty' })
})

test('one that SkyPilot only calls up because it found its machines running, and never set up, is none either', async () => {
  const left = { everUp: true, queue: NOT_SET_UP, machines: { status: 'UP', writtenAnew: true } }
  const making = { kind: 'making', byRequest: false }
  expect(await found({ status: 'UP', ...left })).toEqual({ kind: 'empty' })
  expect(await found({ status: 'INIT', ...left })).toEqual({ kind: 'empty' })
  expect(await found({ status: 'UP', ...left, machines: { status: 'UP', writtenAnew: false } })).toEqual(
    making,
  )
  expect(await found({ status: 'UP', ...left, machines: { status: 'INIT', writtenAnew: true } })).toEqual(
    making,
  )
  const noAnswer = new SkyPilotError('timeout', 'no answer')
  expect(await found({ status: 'UP', ...left, machines: noAnswer })).toEqual(making)
})

test('a cluster that was ready for jobs before and broke may hold the job, whoever is at work on it', async () => {
  const machines = { status: 'INIT', writtenAnew: true }
  const making = { kind: 'making', byRequest: false }
  expect(await found({ status: 'INIT', everUp: true, machines })).toEqual(making)
  expect(await found({ status: 'UP', everUp: true, queue: NOT_READY, machines })).toEqual(making)
})

test('one that became ready in the meantime is looked at for the job', async () => {
  const queue = () => Promise.resolve({ jobs: [{ jobId: 1, jobName: NAME }], unreadable: 0 })
  const machines = { status: 'UP', writtenAnew: true }
  expect(await found({ status: 'INIT', queue, machines })).toEqual({ kind: 'found', jobId: 1 })
})

test('one whose machines could not be asked in time is a sign, and what else went wrong is told', async () => {
  const failing = (kind: 'timeout' | 'unreachable') =>
    found({ status: 'INIT', machines: new SkyPilotError(kind, 'no answer') })
  expect(await failing('timeout')).toEqual({ kind: 'making', byRequest: false })
  await expect(failing('unreachable')).rejects.toThrow('no answer')
})

test('another request for the cluster is a sign too, and one that makes nothing is none', async () => {
  const other = { requestId: 'other', name: 'sky.launch', body: { task: '{"name": "exp-1.2.1"}' } }
  expect(await found({ status: 'UP', requests: [other] })).toEqual({ kind: 'making', byRequest: true })
  expect(await found({ status: 'UP', requests: [{ ...other, name: 'sky.status' }] })).toEqual({
    kind: 'empty',
  })
})

test.each([null, 'STOPPED', 'AUTOSTOPPING', 'UP'])(
  'a cluster that is %s and has no job of it is none',
  async (status) => {
    expect(await found({ status })).toEqual({ kind: 'empty' })
  },
)

/** What comes of a launch whose cluster is being made, and how often SkyPilot is asked for it. */
async function launched(
  order: Partial<LaunchOrder>,
  byRequest = false,
): Promise<{ kind: string; asked: number }> {
  let asked = 0
  const launch = (): Promise<{ id: string }> => {
    asked += 1
    return Promise.resolve({ id: 'request-1' })
  }
  const { requestLaunch } = createLaunches({
    skypilot: { clusters: { launch } } as unknown as SkyPilot,
    find: () => Promise.resolve({ kind: 'making', byRequest }),
    gate: { pass: (work) => work() },
    fenceOf: () => ({ mode: 'off', url: '', token: '' }),
    askForLook: () => Promise.resolve(),
  })
  const whole: LaunchOrder = {
    how: 'cluster',
    name: NAME,
    clusterName: CLUSTER,
    identity: { experimentId: 1, run: 1, attempt: 1 },
    task: { name: NAME, num_nodes: 1, resources: {}, envs: {}, run: 'true' },
    unsureBefore: false,
    waitsForMaking: true,
    ...order,
  }
  const { kind } = await surroundings().run<[], { kind: string }, () => Promise<{ kind: string }>>(() =>
    requestLaunch(whole),
  )
  return { kind, asked }
}

test('is not made again while its cluster is being made, for as long as that is waited for', async () => {
  expect(await launched({ unsureBefore: true })).toEqual({ kind: 'making', asked: 0 })
})

test('is not made beside another request for its cluster, even for the first time', async () => {
  expect(await launched({}, true)).toEqual({ kind: 'making', asked: 0 })
  expect(await launched({ waitsForMaking: false }, true)).toEqual({ kind: 'requested', asked: 1 })
})

test('is made for the first time on a cluster that is not ready, and again when it was waited for long enough', async () => {
  expect(await launched({})).toEqual({ kind: 'requested', asked: 1 })
  expect(await launched({ unsureBefore: true, waitsForMaking: false })).toEqual({
    kind: 'requested',
    asked: 1,
  })
})
