import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
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
  effects,
  disk,
} = clusterCalls(() => sky)

describe('the life of a cluster', () => {
  test('stop ends its jobs and keeps its disk; a launch starts it again', async () => {
    await launch('c1', 'echo kept > kept; sleep 60')
    await untilJob('c1', 1, 'RUNNING')
    await sky.call('/stop', { cluster_name: 'c1' })
    expect((await status('c1'))?.status).toBe('STOPPED')
    expect(sky.processes()).toEqual([])
    await expect(queue('c1')).rejects.toThrow('ClusterNotUpError')
    expect(await launch('c1', 'cat kept')).toMatchObject({ job_id: 2 })
    expect(await logs('c1', 2)).toContain('kept')
    expect(await jobStatus('c1', 1)).toBe('FAILED_DRIVER')
    expect(await effects()).toEqual(expect.arrayContaining(['cluster-stopped', 'cluster-started']))
    await sky.call('/stop', { cluster_name: 'c1' })
    await sky.call('/start', { cluster_name: 'c1' })
    expect((await status('c1'))?.status).toBe('UP')
  })

  test('down ends everything, and the next life counts its jobs from 1', async () => {
    await launch('c1', 'sleep 60')
    await untilJob('c1', 1, 'RUNNING')
    const folder = await disk('c1')
    await sky.call('/down', { cluster_name: 'c1' })
    expect(await sky.call('/status')).toEqual([])
    expect(sky.processes()).toEqual([])
    expect(existsSync(folder)).toBe(false)
    expect(await launch('c1', 'true')).toMatchObject({ job_id: 1 })
  })

  test('autostop stops an idle cluster, and only that; with down it is taken down', async () => {
    await sky.post('/local/settings', { autostopMinuteMs: 300 })
    await launch('c1', 'sleep 1.5')
    await sky.call('/autostop', { cluster_name: 'c1', idle_minutes: 1 })
    expect(await status('c1')).toMatchObject({ autostop: 1, to_down: false })
    await untilJob('c1', 1, 'SUCCEEDED')
    await untilCluster('c1', 'STOPPED')
    await launch('c2', 'true', { idle_minutes_to_autostop: 0, down: true })
    await untilCluster('c2', undefined)
    expect(await sky.count('cluster-autostopping')).toBe(2)
  })

  test('events and costs stay when it is gone', async () => {
    await sky.post('/local/settings', { pricePerHour: 3_600 })
    await launch('c1', 'true')
    const hash = (await status('c1'))!.cluster_hash
    await sky.call('/down', { cluster_name: 'c1' })
    const [cost] = await sky.call<Array<Record<string, unknown>>>('/cost_report', { cluster_names: ['c1'] })
    expect(cost).toMatchObject({ name: 'c1', cluster_hash: hash, status: null, num_nodes: 1 })
    expect(cost!['total_cost']).toBeGreaterThan(0.05)
    expect((cost!['usage_intervals'] as number[][])[0]![1]).toBeTypeOf('number')
    const ask = { event_type: 'STATUS_CHANGE', include_timestamps: true }
    expect(await sky.call('/cluster_events', { ...ask, cluster_name: 'c1' })).toEqual([])
    const events = await sky.call<Array<{ reason: string }>>('/cluster_events', {
      ...ask,
      cluster_hash: hash,
    })
    expect(events.map(({ reason }) => reason)).toEqual([
      'Provisioning on local in this-machine',
      'Instances launched on local in this-machine',
      'All nodes up; SkyPilot runtime healthy.',
      expect.stringContaining('Cluster was terminated by user'),
    ])
  })

  test('has no endpoints, and has logs of its provisioning', async () => {
    await launch('c1', 'true')
    expect(await sky.call('/endpoints', { cluster: 'c1' })).toEqual({})
    await expect(sky.call('/endpoints', { cluster: 'nope' })).rejects.toThrow('ClusterNotUpError')
    const answer = await sky.post('/provision_logs?follow=false', { cluster_name: 'c1' })
    expect(await answer.text()).toContain('Instances launched')
    expect((await sky.post('/provision_logs', { cluster_name: 'nope' })).status).toBe(404)
  })
})

describe('a restart', () => {
  test('leaves clusters and their jobs alone, and never starts a job twice', async () => {
    await launch('c1', 'echo ran >> ran; while [ ! -e go ]; do sleep 0.05; done; exit 4')
    await untilJob('c1', 1, 'RUNNING')
    await sky.stop()
    expect(sky.processes().length).toBeGreaterThan(0)
    await sky.start()
    expect(await status('c1')).toMatchObject({ status: 'UP' })
    expect(await jobStatus('c1', 1)).toBe('RUNNING')
    const work = join(await disk('c1'), 'home', 'sky_workdir')
    writeFileSync(join(work, 'go'), '')
    await untilJob('c1', 1, 'FAILED')
    expect(readFileSync(join(work, 'ran'), 'utf8')).toBe('ran\n')
    expect(await sky.count('cluster-process')).toBe(1)
  })

  test('by kill -9 changes nothing for clusters and jobs of all kinds', async () => {
    await sky.stop()
    const main = new URL('../../local/skypilot/main.ts', import.meta.url).pathname
    const args = ['--disable-warning=ExperimentalWarning', main, '--home', sky.home, '--port', '0']
    const server = spawn(process.execPath, args)
    const [line] = (await once(server.stdout, 'data')) as [Buffer]
    const { url } = JSON.parse(line.toString()) as { url: string }
    const post = (path: string, body: unknown) =>
      fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) })
    const script = 'echo ran >> ran; while [ ! -e go ]; do sleep 0.05; done'
    await post('/launch', launchBody('c1', script))
    await post('/jobs/launch', { name: 'managed', task: task(script) })
    const effectsThere = async () =>
      ((await (await fetch(`${url}/local/ledger`)).json()) as Array<{ effect: string }>).map(
        ({ effect }) => effect,
      )
    await expect
      .poll(effectsThere, { timeout: 10_000 })
      .toEqual(expect.arrayContaining(['cluster-job-running', 'running']))
    server.kill('SIGKILL')
    await once(server, 'exit')
    await sky.start()
    expect(await jobStatus('c1', 1)).toBe('RUNNING')
    expect((await sky.job(1)).status).toBe('RUNNING')
    const folders = [join(await disk('c1'), 'home', 'sky_workdir'), join(sky.home, 'jobs', '1', 'work')]
    for (const folder of folders) writeFileSync(join(folder, 'go'), '')
    await untilJob('c1', 1, 'SUCCEEDED')
    await sky.until(1, 'SUCCEEDED')
    for (const folder of folders) expect(readFileSync(join(folder, 'ran'), 'utf8')).toBe('ran\n')
  })

  test('in the middle of a launch leaves the cluster INIT; the next launch takes it', async () => {
    await sky.post('/local/settings', { provisionMs: 60_000 })
    await begin('/launch', launchBody('c1', 'true'))
    await untilCluster('c1', 'INIT')
    await sky.stop()
    await sky.start()
    expect((await status('c1'))?.status).toBe('INIT')
    expect(await launch('c1', 'true')).toMatchObject({ job_id: 1 })
    expect(await sky.count('cluster-created')).toBe(1)
  })

  test('in the middle of a down goes on with it', async () => {
    await launch('c1', 'trap "" TERM; while :; do sleep 1; done')
    await untilJob('c1', 1, 'RUNNING')
    await begin('/down', { cluster_name: 'c1' })
    await expect.poll(async () => jobStatus('c1', 1)).toBeTruthy()
    await sky.stop()
    await sky.start()
    await untilCluster('c1', undefined)
    expect(sky.processes()).toEqual([])
    expect(await sky.count('cluster-down')).toBe(1)
  })
})

describe('the pretended cloud', () => {
  test('without capacity holds a launch, without resources refuses it', async () => {
    await sky.post('/local/faults', [{ kind: 'no-capacity', name: 'held*', times: 1 }])
    const id = await begin('/launch', launchBody('held-1', 'true'))
    await expect
      .poll(async () => (await status('held-1'))?.init_status_reason)
      .toBe('Launching (pending: Resources; partition: local)')
    await sky.post('/local/faults', [{ kind: 'no-resource', times: 1 }])
    expect((await sky.payload(id)).status).toBe('SUCCEEDED')
    await expect(launch('refused', 'true')).rejects.toThrow('ResourcesUnavailableError')
    expect(await status('refused')).toBeUndefined()
    expect(await launch('refused', 'true')).toMatchObject({ job_id: 1 })
  })

  test('takes a cluster away behind our back', async () => {
    await launch('c1', 'sleep 60')
    await sky.post('/local/preempt', { cluster: 'c1' })
    expect(await sky.call('/status')).toEqual([])
    expect(sky.processes()).toEqual([])
    expect(await sky.count('cluster-vanished')).toBe(1)
  })
})

test('files of this machine are copied to where the job works', async () => {
  const source = mkdtempSync(join(tmpdir(), 'local-skypilot-files-'))
  try {
    mkdirSync(join(source, 'code'))
    writeFileSync(join(source, 'code', 'main.txt'), 'from workdir\n')
    writeFileSync(join(source, 'data'), 'from mount\n')
    const files = { workdir: join(source, 'code'), file_mounts: { '~/data/x': join(source, 'data') } }
    await launch('c1', '', { task: task('cat main.txt ~/data/x', files) })
    expect(await logs('c1', 1)).toMatch(/from workdir[^]*from mount/)
    const managed = await sky.launch('cat main.txt ~/data/x', files)
    expect(await sky.logs(managed)).toMatch(/from workdir[^]*from mount/)
    await expect(
      launch('c2', '', { task: task('true', { file_mounts: { '/etc/x': '/data' } }) }),
    ).rejects.toThrow('NotSupportedError')
  } finally {
    rmSync(source, { recursive: true })
  }
})
