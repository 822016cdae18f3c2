import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createClock } from '../../activities/clock.ts'
import { createClusterActivities } from '../../activities/cluster.ts'
import { ActivityBench } from './bench.ts'

const bench = new ActivityBench()
beforeAll(() => bench.start())
afterEach(() => bench.faults())
afterAll(() => bench.server.dispose())

const task = JSON.stringify({ name: 'exp-1.1.1', run: 'sleep 600' })
const look = (name: string) =>
  bench.run(() => createClusterActivities(bench.sky, createClock()).lookAtCluster(name))

test('a cluster that is not there is no proof while a launch of it is under way', async () => {
  expect(await look('exp-1')).toMatchObject({ kind: 'absent' })
  await bench.faults({ match: '/launch', kind: 'hold', delayMs: 1_000, times: 1 })
  const request = await bench.sky.clusters.launch({ name: 'exp-1', task })
  expect(await look('exp-1')).toEqual({ kind: 'busy' })
  await request.result()
  expect(await look('exp-1')).toMatchObject({ kind: 'seen', cluster: { status: 'UP' } })
})

test('a cluster is taken down, and looked at after that', async () => {
  await (await bench.sky.clusters.launch({ name: 'exp-2', task })).result()
  const down = () =>
    bench.run(() =>
      createClusterActivities(bench.sky, createClock()).changeCluster({ verb: 'down', name: 'exp-2' }),
    )
  expect(await down()).toMatchObject({ refusal: null, look: { kind: 'absent' } })
  // One that is gone already is as it is wanted.
  expect(await down()).toMatchObject({ refusal: null, look: { kind: 'absent' } })
})

test('of clusters whose names begin alike only the one that is meant is seen', async () => {
  await (await bench.sky.clusters.launch({ name: 'exp-31', task })).result()
  expect(await look('exp-3')).toMatchObject({ kind: 'absent' })
})
