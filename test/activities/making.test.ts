import { expect, test } from 'vitest'
import { createFindLaunch, type Found } from '../../activities/find-launch.ts'
import { createLaunches, type LaunchOrder } from '../../activities/launch.ts'
import type { SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'
import { surroundings } from './bench.ts'

const NAME = 'exp-1.1.1'
const CLUSTER = 'exp-1'
const notUp = new SkyPilotError('rejected', 'it is not up', { exceptionName: 'ClusterNotUpError' })

/** What is found where no request is under way, by the status of the cluster and the answer of its queue. */
function found(
  status: string | null,
  queue: () => Promise<unknown> = () => Promise.resolve({ jobs: [], unreadable: 0 }),
) {
  const clusters = status === null ? [] : [{ name: CLUSTER, status }]
  const skypilot = {
    requests: { list: () => Promise.resolve([]) },
    clusters: { status: () => Promise.resolve({ clusters, unreadable: 0 }), queue },
  }
  const find = createFindLaunch(skypilot as unknown as SkyPilot)
  return surroundings().run<[], Found, () => Promise<Found>>(() => find({ name: NAME, clusterName: CLUSTER }))
}

test('a cluster that is being made, by whom nobody knows, is a sign of it', async () => {
  expect(await found('INIT')).toEqual({ kind: 'making' })
})

test('a cluster that is up and not yet ready for jobs is a sign of it', async () => {
  expect(await found('UP', () => Promise.reject(notUp))).toEqual({ kind: 'making' })
})

test.each([null, 'STOPPED', 'AUTOSTOPPING', 'UP'])(
  'a cluster that is %s and has no job of it is none',
  async (status) => {
    expect(await found(status)).toEqual({ kind: 'empty' })
  },
)

/** What comes of a launch whose cluster is being made, and how often SkyPilot is asked for it. */
async function launched(order: Partial<LaunchOrder>): Promise<{ kind: string; asked: number }> {
  let asked = 0
  const launch = (): Promise<{ id: string }> => {
    asked += 1
    return Promise.resolve({ id: 'request-1' })
  }
  const { requestLaunch } = createLaunches({
    skypilot: { clusters: { launch } } as unknown as SkyPilot,
    find: () => Promise.resolve({ kind: 'making' }),
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

test('is made for the first time on a cluster that is not ready, and again when it was waited for long enough', async () => {
  expect(await launched({})).toEqual({ kind: 'requested', asked: 1 })
  expect(await launched({ unsureBefore: true, waitsForMaking: false })).toEqual({
    kind: 'requested',
    asked: 1,
  })
})
