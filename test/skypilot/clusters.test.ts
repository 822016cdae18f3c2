import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SkyPilot } from '../../skypilot/client.ts'
import {
  type RecordedServer,
  recordingOf,
  REQUEST_ID as ID,
  linesOf,
  startRecordedServer,
} from '../support/recorded-server.ts'

let server: RecordedServer
let sky: SkyPilot
let sent: RecordedServer['sent']
let recorded: RecordedServer['recorded']

beforeEach(async () => {
  server = await startRecordedServer()
  ;({ sky, sent, recorded } = server)
})
afterEach(() => server.close())

test('a launch is a handle: it has an id, a result, and is sent once', async () => {
  recorded('launch.ok.3-get')
  const launch = await sky.clusters.launch({ name: 'c1', task: 'run: true', fast: true })
  expect(JSON.parse(JSON.stringify({ launch }))).toEqual({ launch: ID })
  expect(await launch.result()).toEqual({ jobId: 1 })
  expect(sent.map(({ path }) => path)).toEqual(['/launch', `/api/get?request_id=${ID}`])
  expect(sent[0]?.body).toMatchObject({
    cluster_name: 'c1',
    task: 'run: true',
    fast: true,
    retry_until_up: false,
  })
})

test('an infeasible launch names the exception of the server', async () => {
  recorded('launch.infeasible.2-get')
  const launch = await sky.clusters.launch({ name: 'c1', task: 'run: true' })
  await expect(launch.result()).rejects.toMatchObject({
    kind: 'rejected',
    exceptionName: 'ResourcesUnavailableError',
  })
})

test('taking down what is not there says that it is not there', async () => {
  recorded('down.unknown-cluster.2-get')
  const down = await sky.clusters.down({ name: 'nobody' })
  await expect(down.result()).rejects.toMatchObject({ exceptionName: 'ClusterDoesNotExist' })
})

test('a stop that the cloud cannot do says so', async () => {
  recorded('stop.unsupported.2-get')
  await expect((await sky.clusters.stop({ name: 'c2' })).result()).rejects.toMatchObject({
    exceptionName: 'NotSupportedError',
  })
})

test('a cancelled launch is told apart from a failed one', async () => {
  recorded('api_cancel.launch.3-get-cancelled')
  const launch = await sky.clusters.launch({ name: 'c1', task: 'run: true' })
  await expect(launch.result()).rejects.toMatchObject({ kind: 'cancelled' })
})

test('the jobs of a cluster have their times in ms', async () => {
  recorded('queue.ok.2-get')
  const { jobs, unreadable } = await sky.clusters.queue({ name: 'c2' })
  expect(unreadable).toBe(0)
  expect(jobs.map(({ jobId, status }) => [jobId, status])).toEqual([
    [2, 'PENDING'],
    [1, 'RUNNING'],
  ])
  expect(jobs[1]?.startAtMs).toBe(1_795_364_784_911)
})

test('a job that the cluster does not have is null, not missing', async () => {
  recorded('job_status.ok.2-get')
  const statuses = await sky.clusters.jobStatus({ name: 'c2', jobIds: [1, 2, 99] })
  expect([...statuses]).toEqual([
    [1, 'SUCCEEDED'],
    [2, 'PENDING'],
    [99, null],
  ])
})

test('clusters say their status, why, and what becomes of them when idle', async () => {
  recorded('status.init.2-get')
  const [cluster] = (await sky.clusters.status()).clusters
  expect(cluster).toMatchObject({ status: 'INIT', autostopMinutes: null, cloud: 'Slurm' })
  expect(cluster?.statusReason).toMatch(/^Launching|^Instances/)
  expect(sent[0]?.body).toMatchObject({ include_credentials: false })
})

test('a cluster that cannot be read is counted: it is not one cluster fewer', async () => {
  server.returns([{ name: 'c1', status: 'UP', labels: 7, nodes: 'many' }, { name: 'c2' }])
  expect(await sky.clusters.status()).toMatchObject({ unreadable: 1 })
  server.returns([{ name: 'c1', status: 'UP', labels: 7, nodes: 'many' }])
  expect((await sky.clusters.status()).clusters).toMatchObject([{ name: 'c1', status: 'UP', nodes: null }])
})

test('the cost report knows which machines are still paid for', async () => {
  recorded('cost_report.2-get')
  const report = await sky.clusters.costReport()
  expect(report.find(({ name }) => name === 'c2')).toMatchObject({ status: 'UP', isInUse: true })
  expect(report.find(({ name }) => name === 'mj1-1')).toMatchObject({ status: null, isInUse: false })
})

test('time lines of clusters and jobs are times and reasons', async () => {
  recorded('cluster_events.2-get')
  const [first] = await sky.clusters.events({ name: 'c2' })
  expect(first).toEqual({ reason: 'Provisioning on slurm in skylab', atMs: 1_795_364_757_000 })
  recorded('jobs_events.2-get')
  const events = await sky.jobs.events({ jobId: 2 })
  expect(events.length).toBeGreaterThan(2)
  expect(events.every(({ atMs }) => atMs > 1_700_000_000_000)).toBe(true)
})

test('an empty selection of jobs is refused before anything is sent', async () => {
  await expect(sky.clusters.cancel({ name: 'c2', jobIds: [] })).rejects.toThrow(RangeError)
  expect(sent).toEqual([])
})

test('stopping and taking down pass on all that SkyPilot lets one choose', async () => {
  await sky.clusters.stop({ name: 'c2', purge: true })
  await sky.clusters.down({ name: 'c2', graceful: true, gracefulTimeoutMs: 1_500 })
  await sky.clusters.start({ name: 'c2', idleMinutesToAutostop: 5, waitFor: 'jobs', down: true, force: true })
  await sky.clusters.autostop({ name: 'c2', idleMinutes: -1, hook: 'sync', hookTimeoutMs: 60_000 })
  expect(sent.map(({ path, body }) => ({ path, ...body }))).toEqual([
    { path: '/stop', cluster_name: 'c2', purge: true, graceful: false, graceful_timeout: null },
    { path: '/down', cluster_name: 'c2', purge: false, graceful: true, graceful_timeout: 2 },
    {
      path: '/start',
      cluster_name: 'c2',
      idle_minutes_to_autostop: 5,
      wait_for: 'jobs',
      retry_until_up: false,
      down: true,
      force: true,
    },
    {
      path: '/autostop',
      cluster_name: 'c2',
      idle_minutes: -1,
      down: false,
      wait_for: null,
      hook: 'sync',
      hook_timeout: 60,
    },
  ])
})

test('what a start answers is a Python object, and is passed over', async () => {
  recorded('start.already-up.2-get')
  expect(await (await sky.clusters.start({ name: 'c2' })).result()).toBeUndefined()
})

test('a look at the cloud itself is asked for by name', async () => {
  recorded('status.refresh-force.2-get')
  const { clusters } = await sky.clusters.status({ refresh: 'FORCE', names: ['c2'], allUsers: false })
  expect(clusters.length).toBeGreaterThan(0)
  expect(sent[0]?.body).toMatchObject({ refresh: 'FORCE', cluster_names: ['c2'], all_users: false })
})

test('endpoints are addresses by port', async () => {
  server.returns({ 8080: '127.0.0.1:30001', 22: '127.0.0.1:22' })
  expect(await sky.clusters.endpoints({ name: 'c2' })).toEqual(
    new Map([
      [22, '127.0.0.1:22'],
      [8080, '127.0.0.1:30001'],
    ]),
  )
  expect(sent[0]?.body).toEqual({ cluster: 'c2', port: null })
})

test('events of several types are asked for in one call', async () => {
  recorded('cluster_events.2-get')
  await sky.clusters.events({ clusterHash: 'abc', types: ['STATUS_CHANGE', 'LAUNCH_PROGRESS'], limit: 9 })
  expect(sent[0]?.body).toEqual({
    cluster_name: null,
    cluster_hash: 'abc',
    event_type: 'STATUS_CHANGE,LAUNCH_PROGRESS',
    include_timestamps: true,
    limit: 9,
  })
})

test('an exec is a job of the cluster', async () => {
  recorded('exec.ok.2-get')
  const exec = await sky.clusters.exec({ name: 'c2', task: 'run: true', fileMountsBlobId: 'abc' })
  expect(exec.kind).toBe('exec')
  expect((await exec.result()).jobId).toBeGreaterThan(0)
  expect(sent[0]?.body).toMatchObject({ cluster_name: 'c2', file_mounts_blob_id: 'abc' })
})

test.each([
  [{ jobIds: [1, 2] }, { job_ids: [1, 2], all: false, all_users: false }],
  [
    { all: true as const, allUsers: true },
    { job_ids: null, all: true, all_users: true },
  ],
  [{ latest: true as const }, { job_ids: null, all: false, all_users: false }],
])('jobs to cancel are chosen: %j', async (choice, body) => {
  recorded('cancel.ok.2-get')
  const cancel = await sky.clusters.cancel({ name: 'c2', ...choice })
  expect(await cancel.result()).toBeUndefined()
  expect(sent[0]).toMatchObject({ path: '/cancel', body: { cluster_name: 'c2', ...body } })
})

test('a log has its lines, and at its end the exit code of the job', async () => {
  const { body } = recordingOf('logs.unknown-job')
  server.on('/logs', (response) => response.writeHead(200, { 'content-type': 'text/plain' }).end(body))
  recorded('logs.unknown-job.get')
  const log = await sky.clusters.tailLogs({ name: 'c2', jobId: 77, follow: false })
  expect(await linesOf(log)).toEqual([
    'Job 77 not found (see `sky queue`).',
    'srun: error: vm: task 0: Exited with exit code 102',
  ])
  expect(await log.exitCode()).toBe(102)
})

test('the empty log of a cluster that does not exist says so when it is asked', async () => {
  server.on('/logs', (response) => response.writeHead(200, { 'content-type': 'text/plain' }).end())
  recorded('logs.unknown-cluster.get')
  const log = await sky.clusters.tailLogs({ name: 'nobody' })
  expect(await linesOf(log)).toEqual([])
  await expect(log.exitCode()).rejects.toMatchObject({ exceptionName: 'ClusterDoesNotExist' })
})

test('the log of the making of a cluster is read as it is', async () => {
  const { body } = recordingOf('provision_logs')
  server.on('/provision_logs', (response) =>
    response.writeHead(200, { 'content-type': 'text/plain' }).end(body),
  )
  const log = await sky.clusters.provisionLogs({ name: 'c2', follow: false, tail: 5, worker: 1 })
  expect((await linesOf(log))[0]).toContain('SkyPilot version: 0.14.1')
  expect(sent[0]).toMatchObject({
    path: '/provision_logs?follow=false&tail=5',
    body: { cluster_name: 'c2', worker: 1 },
  })
})

test('a cluster without such a log is refused', async () => {
  server.on('/provision_logs', (response) => response.writeHead(404).end('{"detail":"not recorded"}'))
  await expect(sky.clusters.provisionLogs({ name: 'c2' })).rejects.toMatchObject({ kind: 'rejected' })
})
