import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { closed } from '../support/recordings.ts'

const ID = '0f0f0f0f-1111-4222-8333-444444444444'
let server: Server
let sky: SkyPilot
let answers: Array<{ status: number; text: string }>
let sent: Array<{ path: string; body: Record<string, unknown> | null }>

beforeEach(async () => {
  answers = []
  sent = []
  server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      sent.push({
        path: request.url ?? '',
        body: text ? (JSON.parse(text) as Record<string, unknown>) : null,
      })
      const answer = request.method === 'POST' ? { status: 200, text: 'null' } : answers.shift()
      response.writeHead(answer?.status ?? 500, {
        'content-type': 'application/json',
        'x-skypilot-request-id': ID,
      })
      response.end(answer?.text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  sky = createSkyPilot({ endpoint: `http://127.0.0.1:${address.port}`, timeoutMs: 2_000 })
})
afterEach(() => new Promise((resolve) => server.close(resolve)))

/** Lets the next result be what the real server once answered. */
function recorded(name: string): void {
  const file = new URL(`../recordings/skypilot/${name}.json`, import.meta.url)
  const { response } = JSON.parse(readFileSync(file, 'utf8')) as {
    response: { status: number; body: unknown }
  }
  answers.push({ status: response.status, text: JSON.stringify(closed(response.body)) })
}

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
  const [cluster] = await sky.clusters.status()
  expect(cluster).toMatchObject({ status: 'INIT', autostopMinutes: null, cloud: 'Slurm' })
  expect(cluster?.statusReason).toMatch(/^Launching|^Instances/)
  expect(sent[0]?.body).toMatchObject({ include_credentials: false })
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
