import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { createCancels } from '../../activities/cancel.ts'
import { createClock } from '../../activities/clock.ts'
import { createClusterActivities } from '../../activities/cluster.ts'
import { createFindLaunch } from '../../activities/find-launch.ts'
import { createOrphanActivities } from '../../activities/orphans.ts'
import type { SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'
import type { Queryable } from '../../store/query.ts'
import { ActivityBench, surroundings, unreadable } from './bench.ts'

const bench = new ActivityBench()
beforeAll(() => bench.start())
afterEach(() => {
  bench.tamper = null
})
afterAll(() => bench.server.dispose())

/** Tables in which nothing belongs to anybody. */
const nobody = { query: () => Promise.resolve({ rows: [] }) } as unknown as Queryable

const refusal = (exceptionName: string) => new SkyPilotError('rejected', 'no', { exceptionName })
const under = <T>(work: () => Promise<T>) => surroundings().run<[], T, () => Promise<T>>(work)

describe('a list with rows that cannot be read does not prove', () => {
  test('that a cluster is gone, or that nothing was launched on it', async () => {
    const task = JSON.stringify({ name: 'exp-1.1.1', run: 'sleep 600' })
    await (await bench.sky.clusters.launch({ name: 'exp-1', task })).result()
    bench.tamper = unreadable
    const cluster = createClusterActivities(bench.sky, createClock())
    await expect(bench.run(() => cluster.lookAtCluster('exp-1'))).rejects.toThrow('could not be read')
    const find = createFindLaunch(bench.sky)
    await expect(bench.run(() => find({ name: 'exp-1.1.1', clusterName: 'exp-1' }))).rejects.toThrow(
      'could not be read',
    )
    const orphans = createOrphanActivities(bench.sky, nobody)
    await expect(bench.run(() => orphans.isOrphanGone({ kind: 'cluster', name: 'exp-1' }))).rejects.toThrow(
      'could not be read',
    )
  })

  test('that a job of nobody is gone', async () => {
    const jobId = await bench.server.launch('sleep 600')
    bench.tamper = unreadable
    const orphans = createOrphanActivities(bench.sky, nobody)
    await expect(bench.run(() => orphans.isOrphanGone({ kind: 'job', jobId }))).rejects.toThrow(
      'could not be read',
    )
  })
})

test('what an experiment has taken meanwhile is not ended', async () => {
  const jobId = await bench.server.launch('sleep 600')
  const somebody = { query: () => Promise.resolve({ rows: [{ id: 1, name: 'exp' }] }) }
  const owned = createOrphanActivities(bench.sky, somebody as unknown as Queryable)
  expect(await bench.run(() => owned.endOrphan({ kind: 'job', jobId }))).toBe('owned')
  expect((await bench.server.job(jobId)).status).not.toBe('CANCELLED')
  const free = createOrphanActivities(bench.sky, nobody)
  expect(await bench.run(() => free.endOrphan({ kind: 'job', jobId }))).toBe('asked')
  await bench.server.until(jobId, 'CANCELLED')
})

describe('that a cluster stops itself', () => {
  const autostop = (error: SkyPilotError | null) => {
    const result = async () => {
      if (error) throw error
    }
    const sky = { clusters: { autostop: async () => ({ result }) } } as unknown as SkyPilot
    return under(() => createClusterActivities(sky, createClock()).setAutostop({ name: 'exp-1', minutes: 5 }))
  }

  test('is refused for good only where the cloud cannot do it; all else is tried again', async () => {
    expect(await autostop(null)).toBeNull()
    expect(await autostop(refusal('ClusterDoesNotExist'))).toBeNull()
    expect(await autostop(refusal('NotSupportedError'))).toBe('no')
    await expect(autostop(refusal('CommandError'))).rejects.toThrow('no')
    await expect(autostop(refusal('ClusterNotUpError'))).rejects.toThrow('no')
  })
})

describe('a job that SkyPilot does not list', () => {
  const APART_MS = 200
  const isOver = (queue: () => Promise<unknown>) =>
    under(() =>
      createCancels({ jobs: { queue } } as unknown as SkyPilot, APART_MS).isJobOver({
        jobId: 7,
        clusterName: null,
      }),
    )
  const listing = (...statuses: string[]) => ({ jobs: statuses.map((status) => ({ status })), unreadable: 0 })

  test('is over when two looks do not show it, and not when the second does', async () => {
    const beganMs = performance.now()
    const nothing = vi.fn<() => Promise<unknown>>().mockResolvedValue(listing())
    expect(await isOver(nothing)).toBe(true)
    expect(nothing).toHaveBeenCalledTimes(2)
    expect(performance.now() - beganMs).toBeGreaterThanOrEqual(APART_MS - 5)
    const late = vi
      .fn<() => Promise<unknown>>()
      .mockResolvedValue(listing('RUNNING'))
      .mockResolvedValueOnce(listing())
    expect(await isOver(late)).toBe(false)
  })
})

describe('a job on a cluster whose machines are stopped', () => {
  const notUp = () => Promise.reject(refusal('ClusterNotUpError'))
  const world = (status: string) => {
    const clusters = [{ name: 'exp-1', status }]
    const listed = () => Promise.resolve({ clusters, unreadable: 0 })
    return createCancels({
      clusters: { cancel: notUp, jobStatus: notUp, status: listed },
    } as unknown as SkyPilot)
  }
  const job = { jobId: 1, clusterName: 'exp-1' }

  test('has ended; on one in the making nobody knows', async () => {
    expect(await under(() => world('STOPPED').isJobOver(job))).toBe(true)
    await expect(under(() => world('STOPPED').cancelJob(job))).resolves.toBeUndefined()
    await expect(under(() => world('INIT').isJobOver(job))).rejects.toThrow('no')
    await expect(under(() => world('INIT').cancelJob(job))).rejects.toThrow('no')
  })
})
