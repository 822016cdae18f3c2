import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { clusterCalls } from './cluster-calls.ts'
import { TestSkyPilot } from './skypilot-client.ts'

let sky: TestSkyPilot

beforeEach(async () => {
  sky = new TestSkyPilot()
  sky.options.settings = { provisionMs: 100, stopMs: 10 }
  await sky.start()
})
afterEach(() => sky.dispose())

const {
  task,
  launchBody,
  launch,
  status,
  queue,
  jobStatus,
  untilJob,
  untilCluster,
  logs,
  begin,
  requestStatus,
  effects,
  disk,
} = clusterCalls(() => sky)

describe('a launch', () => {
  test('makes a cluster that is INIT, then UP, and runs the task on it', async () => {
    await sky.post('/local/settings', { provisionMs: 1_000 })
    const id = await begin(
      '/launch',
      launchBody('c1', 'echo "hi $SKYPILOT_NODE_RANK"; echo $SKYPILOT_TASK_ID'),
    )
    await untilCluster('c1', 'INIT')
    expect(await status('c1')).toMatchObject({ init_kind: 'launching', cluster_ever_up: false })
    expect(JSON.parse((await sky.payload(id)).return_value)).toMatchObject({
      job_id: 1,
      handle: { cluster_name: 'c1' },
    })
    expect(await status('c1')).toMatchObject({ status: 'UP', autostop: -1, to_down: false, nodes: 1 })
    const log = await logs('c1', 1)
    expect(log).toMatch(/^\(j, pid=\d+\) hi 0$/m)
    expect(log).toMatch(/sky-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{6}_c1_1/)
    expect(log).toMatch(/Job finished \(status: SUCCEEDED\)/)
    expect(await effects()).toEqual([
      'cluster-created',
      'cluster-up',
      'cluster-job-submitted',
      'cluster-job-setting_up',
      'cluster-process',
      'cluster-job-running',
      'cluster-process-ended',
      'cluster-job-succeeded',
    ])
    const log2 = await (await sky.get(`/api/stream?request_id=${id}`)).text()
    expect(log2).toContain('Job submitted, ID: 1')
  })

  test('of a cluster that is there takes it, and counts its jobs on', async () => {
    await launch('c1', 'true')
    const before = await status('c1')
    expect(await launch('c1', 'true', { fast: true })).toMatchObject({ job_id: 2 })
    expect((await status('c1'))?.cluster_hash).toBe(before?.cluster_hash)
    expect((await queue('c1')).map(({ job_id: id }) => id)).toEqual([2, 1])
  })

  test('waits for the lock of its cluster, and then submits a second job', async () => {
    await sky.post('/local/settings', { provisionMs: 500 })
    const first = await begin('/launch', launchBody('c1', 'true'))
    await untilCluster('c1', 'INIT')
    const second = await begin('/launch', launchBody('c1', 'true'))
    await expect.poll(async () => (await requestStatus(second)).status).toBe('WAITING')
    expect((await requestStatus(second)).status_msg).toContain("Cluster 'c1' is locked")
    const ids = [await sky.payload(first), await sky.payload(second)].map(
      ({ return_value: value }) => (JSON.parse(value) as { job_id: number }).job_id,
    )
    expect(ids).toEqual([1, 2])
    expect(await sky.count('cluster-created')).toBe(1)
  })

  test('that is cancelled leaves the cluster INIT and submits nothing; down takes it away', async () => {
    await sky.post('/local/settings', { provisionMs: 60_000 })
    const id = await begin('/launch', launchBody('c1', 'true'))
    await untilCluster('c1', 'INIT')
    expect(await sky.call('/api/cancel', { request_ids: [id] })).toEqual([id])
    expect(await sky.payload(id)).toMatchObject({ status: 'CANCELLED' })
    expect((await status('c1'))?.status).toBe('INIT')
    await expect(queue('c1')).rejects.toThrow('ClusterNotUpError')
    await sky.call('/down', { cluster_name: 'c1' })
    expect(await status('c1')).toBeUndefined()
    expect(await sky.count('cluster-job-submitted')).toBe(0)
  })

  test('can be given up by down', async () => {
    await sky.post('/local/settings', { provisionMs: 60_000 })
    const id = await begin('/launch', launchBody('c1', 'true'))
    await untilCluster('c1', 'INIT')
    await sky.call('/down', { cluster_name: 'c1' })
    expect(await sky.payload(id)).toMatchObject({ status: 'CANCELLED' })
    expect(await status('c1')).toBeUndefined()
  })

  test('of another size than the cluster is refused', async () => {
    await launch('c1', 'true', { task: task('true', { resources: { cpus: 2 } }) })
    await expect(launch('c1', 'true', { task: task('true', { resources: { cpus: 4 } }) })).rejects.toThrow(
      /ResourcesMismatchError.*Requested resources do not match the existing cluster/,
    )
    await expect(launch('c1', 'true', { task: task('true', { num_nodes: 2 }) })).rejects.toThrow('Mismatch')
  })

  test.each([
    ['c1', { resources: { cpus: 500 } }, 'ResourcesUnavailableError'],
    ['c1', { resources: { accelerators: 'H100:64' } }, 'ResourcesUnavailableError'],
    ['c1', { resources: { cpus: 'banana' } }, 'ValueError'],
    ['Bad_name!', {}, 'InvalidClusterNameError'],
  ])('of %s with %o is refused: %s', async (name, more, type) => {
    await expect(launch(name, '', { task: task('true', more) })).rejects.toThrow(type)
    expect(await effects()).toEqual([])
  })

  test('as a dry run makes nothing; without a command it makes no job', async () => {
    expect(await launch('c1', 'true', { dryrun: true })).toMatchObject({ job_id: null })
    expect(await effects()).toEqual([])
    expect(await sky.call('/launch', { cluster_name: 'c1', task: '{}' })).toMatchObject({ job_id: null })
    expect((await status('c1'))?.status).toBe('UP')
  })

  test('runs setup, unless it is told not to, or the cluster is up and it shall be fast', async () => {
    const body = { task: task('true', { setup: 'echo set >> ~/setups' }) }
    await launch('c1', '', body)
    await launch('c1', '', { ...body, fast: true })
    await launch('c1', '', { ...body, no_setup: true })
    await launch('c1', '', body)
    await untilJob('c1', 4, 'SUCCEEDED')
    expect(readFileSync(join(await disk('c1'), 'home', 'setups'), 'utf8')).toBe('set\nset\n')
  })

  test('waits its turn when as many run as may', async () => {
    await sky.post('/local/settings', { provisionMs: 400, longRequests: 1 })
    const first = await begin('/launch', launchBody('c1', 'true'))
    const second = await begin('/launch', launchBody('c2', 'true'))
    await untilCluster('c1', 'INIT')
    expect((await requestStatus(second)).status).toBe('PENDING')
    expect((await sky.payload(first)).status).toBe('SUCCEEDED')
    expect((await sky.payload(second)).status).toBe('SUCCEEDED')
  })
})

describe('jobs of a cluster', () => {
  test('fail with their exit code, in run and in setup', async () => {
    await launch('c1', 'exit 7')
    await untilJob('c1', 1, 'FAILED')
    expect(await logs('c1', 1)).toContain('failed with return code list: [7]')
    await launch('c1', '', { task: task('true', { setup: 'exit 3' }) })
    await untilJob('c1', 2, 'FAILED_SETUP')
    const tail = await begin('/logs', { cluster_name: 'c1', job_id: 1, follow: false })
    expect(await sky.payload(tail)).toMatchObject({ return_value: '100' })
  })

  test('wait for one another when the cluster has no room', async () => {
    const one = { resources: { cpus: 1 } }
    await launch('c1', '', { task: task('sleep 0.5', one) })
    expect(await sky.call('/exec', { cluster_name: 'c1', task: task('true') })).toMatchObject({ job_id: 2 })
    await untilJob('c1', 1, 'RUNNING')
    expect(await jobStatus('c1', 2)).toBe('PENDING')
    await untilJob('c1', 2, 'SUCCEEDED')
    const [second, first] = await queue('c1')
    expect(second!.start_at).toBeGreaterThanOrEqual(first!.end_at!)
  })

  test('of several nodes run on each', async () => {
    await launch('c1', '', {
      task: task('echo "$SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES"', { num_nodes: 2 }),
    })
    const log = await logs('c1', 1)
    expect(log).toMatch(/\(head, rank=0, pid=\d+\) 0 of 2/)
    expect(log).toMatch(/\(worker1, rank=1, pid=\d+, ip=127\.0\.0\.1\) 1 of 2/)
  })

  test('are cancelled by their ids, or the latest one; those that are over are passed over', async () => {
    await launch('c1', 'sleep 60')
    await sky.call('/exec', { cluster_name: 'c1', task: task('sleep 60') })
    await untilJob('c1', 2, 'RUNNING')
    await sky.call('/cancel', { cluster_name: 'c1', job_ids: null })
    await untilJob('c1', 2, 'CANCELLED')
    expect(await jobStatus('c1', 1)).toBe('RUNNING')
    await sky.call('/cancel', { cluster_name: 'c1', job_ids: [1, 2] })
    await untilJob('c1', 1, 'CANCELLED')
    expect(sky.processes()).toEqual([])
    await sky.call('/cancel', { cluster_name: 'c1', job_ids: [1, 99] })
  })

  test('that are unknown, or of an unknown cluster, are told as the real server tells them', async () => {
    await launch('c1', 'true')
    expect(await sky.call('/job_status', { cluster_name: 'c1', job_ids: [99] })).toEqual({ '99': null })
    const unknown = await sky.post('/logs', { cluster_name: 'c1', job_id: 77, follow: false })
    expect(await unknown.text()).toContain('Job 77 not found (see `sky queue`).')
    expect(await sky.payload(unknown.headers.get('x-skypilot-request-id')!)).toMatchObject({
      return_value: '102',
    })
    const nowhere = await sky.post('/logs', { cluster_name: 'nope', job_id: 1, follow: false })
    expect(await nowhere.text()).toBe('')
    expect((await sky.payload(nowhere.headers.get('x-skypilot-request-id')!)).error).toContain(
      'ClusterDoesNotExist',
    )
    for (const path of ['/queue', '/down', '/stop', '/start', '/exec', '/autostop'])
      await expect(sky.call(path, { cluster_name: 'nope', task: '{}', idle_minutes: 1 })).rejects.toThrow(
        "Cluster 'nope' does not exist.",
      )
  })

  test('have logs that can be downloaded', async () => {
    await launch('c1', 'echo for download')
    await untilJob('c1', 1, 'SUCCEEDED')
    const folders = await sky.call<Record<string, string>>('/download_logs', {
      cluster_name: 'c1',
      job_ids: ['1'],
    })
    expect(readFileSync(join(folders['1']!, 'run.log'), 'utf8')).toBe('for download\n')
    const answer = await sky.post('/download', { folder_paths: Object.values(folders) })
    expect(answer.headers.get('x-home-path')).toBeTruthy()
    const packed = Buffer.from(await answer.arrayBuffer())
    expect(packed.subarray(0, 4).toString('latin1')).toBe('PK\u0003\u0004')
    expect((await sky.post('/download', { folder_paths: ['/etc'] })).status).toBe(400)
    expect((await sky.post('/download', { folder_paths: [join(sky.home, 'downloads', 'x')] })).status).toBe(
      404,
    )
  })
})
