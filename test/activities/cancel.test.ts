import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createCancels } from '../../activities/cancel.ts'
import { ActivityBench, unreadable } from './bench.ts'

const bench = new ActivityBench()
beforeAll(() => bench.start())
afterEach(async () => {
  bench.tamper = null
  await bench.faults()
})
afterAll(() => bench.server.dispose())

type Job = Parameters<ReturnType<typeof createCancels>['cancelJob']>[0]

const cancel = (job: Job) => bench.run(() => createCancels(bench.sky).cancelJob(job))
const isOver = (job: Job) => bench.run(() => createCancels(bench.sky, 200).isJobOver(job))

async function launched(name: string): Promise<number> {
  const request = await bench.sky.jobs.launch({ name, task: 'run: sleep 600' })
  const [jobId] = (await request.result()).jobIds
  if (jobId === undefined) throw new Error('it made no job')
  return jobId
}

async function onCluster(clusterName: string, run = 'sleep 600'): Promise<Job> {
  const task = JSON.stringify({ name: 'exp-1.1.1', run })
  const request = await bench.sky.clusters.launch({ name: clusterName, task })
  const { jobId } = await request.result()
  if (jobId === null) throw new Error('it made no job')
  return { jobId, clusterName }
}

const statusOn = async ({ jobId, clusterName }: Job) =>
  (await bench.sky.clusters.jobStatus({ name: clusterName ?? '', jobIds: [jobId] })).get(jobId)

describe('a job is cancelled', () => {
  test('by its id: another of the same name is left alone', async () => {
    const other = await launched('exp-1.1.1')
    const ours = await launched('exp-1.1.1')
    await bench.server.until(other, 'RUNNING')
    await cancel({ jobId: ours, clusterName: null })
    await bench.server.until(ours, 'CANCELLED')
    expect((await bench.server.job(other)).status).toBe('RUNNING')
  })

  test('by its id on a cluster: the other jobs of the cluster are left alone', async () => {
    const other = await onCluster('exp-1', 'until [ -e go ]; do sleep 0.1; done')
    const ours = await onCluster('exp-1')
    await expect.poll(() => statusOn(other)).toBe('RUNNING')
    await cancel(ours)
    await expect.poll(() => statusOn(ours)).toBe('CANCELLED')
    // A cancelled one may be seen running for a while, but never comes to its own end.
    await onCluster('exp-1', 'touch go')
    await expect.poll(() => statusOn(other)).toMatch(/SUCCEEDED|CANCELLED/)
    expect(await statusOn(other)).toBe('SUCCEEDED')
  })

  test('with a cluster that is gone: then there is nothing left to be cancelled', async () => {
    await expect(cancel({ jobId: 1, clusterName: 'nowhere-1' })).resolves.toBeUndefined()
  })
})

describe('a job is over', () => {
  test('when it has ended, not when it lives, nor when its status is one that nobody knows', async () => {
    const jobId = await bench.server.launch('sleep 600')
    expect(await isOver({ jobId, clusterName: null })).toBe(false)
    await cancel({ jobId, clusterName: null })
    await bench.server.until(jobId, 'CANCELLED')
    expect(await isOver({ jobId, clusterName: null })).toBe(true)
    await bench.faults({ match: '/jobs/queue', kind: 'unknown-status', times: 1 })
    expect(await isOver({ jobId, clusterName: null })).toBe(false)
  })

  test('never by an answer that cannot be read', async () => {
    const jobId = await bench.server.launch('true')
    await bench.server.until(jobId, 'SUCCEEDED')
    bench.tamper = unreadable
    await expect(isOver({ jobId, clusterName: null })).rejects.toThrow('could not be read')
  })

  test('on a cluster by its status there, and with its cluster', async () => {
    const job = await onCluster('exp-2')
    expect(await isOver(job)).toBe(false)
    await cancel(job)
    await expect.poll(() => isOver(job)).toBe(true)
    expect(await isOver({ jobId: 1, clusterName: 'nowhere-1' })).toBe(true)
  })
})
