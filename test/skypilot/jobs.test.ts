import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SkyPilot } from '../../skypilot/client.ts'
import { isController } from '../../skypilot/controllers.ts'
import {
  type RecordedServer,
  recordingOf,
  REQUEST_ID,
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

const olderServer = (apiVersion: string): void =>
  server.on('/api/health', (response) =>
    response.end(JSON.stringify({ status: 'healthy', api_version: apiVersion, version: '0.13.0' })),
  )

describe('launch', () => {
  test('a launch is a handle whose result names the jobs', async () => {
    recorded('jobs_launch.ok.2-get')
    const launch = await sky.jobs.launch({ name: 'a', task: 'run: true', pool: 'p', numJobs: 3 })
    expect(launch.id).toBe(REQUEST_ID)
    expect(await launch.result()).toEqual({ jobIds: [2] })
    expect(sent[0]).toMatchObject({
      path: '/jobs/launch',
      body: { name: 'a', task: 'run: true', pool: 'p', num_jobs: 3, parent_job_id: null },
    })
  })

  test.each([
    [
      [4, 5],
      [4, 5],
    ],
    [7, [7]],
    [null, []],
  ])('servers name the jobs in three ways: %j', async (jobId, jobIds) => {
    server.returns({ job_id: jobId, handle: 'gAROLg==' })
    const launch = await sky.jobs.launch({ task: 'run: true' })
    expect(await launch.result()).toEqual({ jobIds })
    expect(sent[0]?.body).toMatchObject({ name: null })
  })
})

describe('queue', () => {
  test('all filters reach the server in its own words', async () => {
    recorded('jobs_queue_v2.status-filter.2-get')
    olderServer('62')
    const { statusCounts, unreadable } = await sky.jobs.queue({
      refresh: true,
      skipFinished: true,
      allUsers: false,
      jobIds: [1],
      nameMatch: 'n',
      userMatch: 'u',
      workspaceMatch: 'w',
      poolMatch: 'p',
      infraMatch: 'aws/*',
      statuses: ['RUNNING'],
      submittedAfterMs: 1_500,
      submittedBeforeMs: 2_000,
      page: 2,
      limit: 50,
      fields: ['job_name'],
      sortBy: 'submitted_at',
      sortOrder: 'desc',
    })
    expect(unreadable).toBe(0)
    expect(Object.values(statusCounts).every((count) => count > 0)).toBe(true)
    expect(sent.find(({ path }) => path === '/jobs/queue/v2')?.body).toEqual({
      refresh: true,
      skip_finished: true,
      all_users: false,
      job_ids: [1],
      name_match: 'n',
      user_match: 'u',
      workspace_match: 'w',
      pool_match: 'p',
      infra_match: 'aws/*',
      statuses: ['RUNNING'],
      submitted_after: 1.5,
      submitted_before: 2,
      page: 2,
      limit: 50,
      fields: ['job_name'],
      sort_by: 'submitted_at',
      sort_order: 'desc',
    })
  })

  test('a full row has what is only for people too', async () => {
    recorded('jobs_queue_v2.full.2-get')
    const { jobs } = await sky.jobs.queue()
    expect(jobs[0]).toMatchObject({
      jobId: 3,
      taskName: 'mj-a1',
      durationMs: 29_317,
      workspace: 'default',
      userName: 'skydeck',
      clusterNameOnCloud: 'mj-a1-3-a1b2c3d4',
      parentJobId: null,
      labels: {},
    })
    expect(jobs[0]?.userYaml).toContain('name: mj-a1')
  })

  test('a field for people that is not as it should be does not hide a job', async () => {
    const job = { job_id: 1, status: 'RUNNING', labels: 7, user_name: {}, job_duration: 'long', links: [] }
    server.returns({ jobs: [job], total: 1, total_no_filter: 1, status_counts: 'many' })
    expect(await sky.jobs.queue()).toMatchObject({
      jobs: [{ jobId: 1, status: 'RUNNING', labels: {}, userName: null, durationMs: null }],
      unreadable: 0,
      statusCounts: {},
    })
  })

  test('a filter that the server would pass over is refused, and the queue is not asked', async () => {
    olderServer('57')
    await expect(sky.jobs.queue({ infraMatch: 'aws' })).rejects.toMatchObject({ kind: 'protocol' })
    expect(sent.map(({ path }) => path)).toEqual(['/api/health'])
  })

  test('the version of the server is asked for once', async () => {
    olderServer('60')
    recorded('jobs_queue_v2.full.2-get')
    recorded('jobs_queue_v2.full.2-get')
    await sky.jobs.queue({ submittedAfterMs: 0 })
    await sky.jobs.queue({ submittedBeforeMs: 0 })
    expect(sent.filter(({ path }) => path === '/api/health')).toHaveLength(1)
  })
})

describe('the queue of a server whose jobs controller is a cluster', () => {
  const refuses = (type: string, message: string): void =>
    server.fails('sky.jobs.queue_v2', { type, message })
  const none = (): void => refuses('ClusterNotUpError', 'No in-progress managed jobs.')
  const asked = () => sent.flatMap(({ path, body }) => (path === '/jobs/queue/v2' ? [body?.['refresh']] : []))
  const empty = { jobs: [], total: 0, totalNoFilter: 0, statusCounts: {}, unreadable: 0 }

  test('has nothing that lives where there is none, or it is stopped', async () => {
    none()
    expect(await sky.jobs.queue({ skipFinished: true })).toEqual(empty)
    expect(asked()).toEqual([false])
  })

  test('what is over is asked for with the controller started', async () => {
    none()
    recorded('jobs_queue_v2.full.2-get')
    const { jobs } = await sky.jobs.queue({ jobIds: [3] })
    expect(jobs.map(({ jobId }) => jobId)).toContain(3)
    expect(asked()).toEqual([false, true])
  })

  test('has nothing at all where there is no controller to be started', async () => {
    none()
    refuses('ClusterDoesNotExist', "Cluster 'sky-jobs-controller-a1b2c3d4' does not exist.")
    expect(await sky.jobs.queue({ nameMatch: 'exp-1.1.1' })).toEqual(empty)
    expect(asked()).toEqual([false, true])
  })

  test.each([
    ['ClusterNotUpError', 'Failed to connect to jobs controller, please try again later.'],
    ['ClusterNotUpError', 'No in-progress managed jobs. Or so'],
    ['RuntimeError', 'No in-progress managed jobs.'],
    ['ClusterDoesNotExist', "Cluster 'sky-jobs-controller-a1b2c3d4' does not exist."],
  ])('cannot be told where it only cannot be reached: %s: %s', async (type, message) => {
    refuses(type, message)
    await expect(sky.jobs.queue({ skipFinished: true })).rejects.toMatchObject({ exceptionName: type })
    expect(asked()).toEqual([false])
  })

  test('cannot be told where the controller cannot be started', async () => {
    none()
    refuses('ResourcesUnavailableError', 'no capacity')
    await expect(sky.jobs.queue()).rejects.toMatchObject({ exceptionName: 'ResourcesUnavailableError' })
  })
})

test.each([
  ['sky-jobs-controller-a1b2c3d4', true],
  ['sky-serve-controller-a1b2c3d4', true],
  ['sky-jobs-1', false],
  ['my-sky-jobs-controller-1', false],
])('SkyPilot looks after jobs or services on %s: %s', (name, is) => {
  expect(isController(name)).toBe(is)
})

describe('cancel', () => {
  const nobody = { job_ids: null, task: null, name: null, pool: null, all: false, all_users: false }
  test.each([
    [{ jobIds: [10, 11] }, { ...nobody, job_ids: [10, 11] }],
    [{ name: 'w-0' }, { ...nobody, name: 'w-0' }],
    [{ pool: 'p' }, { ...nobody, pool: 'p' }],
    [{ all: true as const }, { ...nobody, all: true }],
    [
      { all: true as const, allUsers: true },
      { ...nobody, all: true, all_users: true },
    ],
  ])('jobs are chosen in one way only: %j', async (choice, body) => {
    recorded('jobs_cancel.ok.2-get')
    const cancel = await sky.jobs.cancel({ ...choice, graceful: true, gracefulTimeoutMs: 30_000 })
    expect(await cancel.result()).toBeUndefined()
    expect(sent[0]).toMatchObject({
      path: '/jobs/cancel',
      body: { ...body, graceful: true, graceful_timeout: 30 },
    })
  })

  test('what came of it stands in the log of the request', async () => {
    const { body } = recordingOf('jobs_cancel.stream')
    server.on('/api/stream', (response) =>
      response.writeHead(200, { 'content-type': 'text/plain' }).end(body),
    )
    recorded('jobs_cancel.ok.2-get')
    const lines: string[] = []
    const cancel = await sky.jobs.cancel({ jobIds: [10, 11] })
    await cancel.streamAndGet((line) => void lines.push(line))
    expect(lines).toEqual(['Jobs with IDs 10, 11 are scheduled to be cancelled.'])
  })

  test('one task of a job needs a server that knows it', async () => {
    olderServer('61')
    await expect(sky.jobs.cancel({ jobIds: [1], task: 'eval' })).rejects.toMatchObject({ kind: 'protocol' })
    expect(sent.some(({ path }) => path === '/jobs/cancel')).toBe(false)
  })
})

describe('watching', () => {
  test('a log is that of a job, or of the latest of a name, or of its controller', async () => {
    server.on('/jobs/logs', (response) =>
      response.writeHead(200, { 'content-type': 'text/plain' }).end('a\nb\n'),
    )
    await sky.jobs.tailLogs({ name: 'a', controller: true, tail: 3, tailOffset: 1, task: 0, follow: false })
    const log = await sky.jobs.tailLogs({ jobId: 2 })
    expect(await linesOf(log)).toEqual(['a', 'b'])
    expect(sent.map(({ body }) => body)).toEqual([
      {
        job_id: null,
        name: 'a',
        follow: false,
        controller: true,
        refresh: false,
        tail: 3,
        tail_offset: 1,
        task: 0,
      },
      {
        job_id: 2,
        name: null,
        follow: true,
        controller: false,
        refresh: false,
        tail: null,
        tail_offset: null,
        task: null,
      },
    ])
  })

  test('the time line can have the steps of provisioning in it', async () => {
    recorded('jobs_events.2-get')
    const events = await sky.jobs.events({ jobId: 2, limit: 50, includeClusterEvents: true })
    expect(events.some(({ reason }) => reason.startsWith('Launching'))).toBe(true)
    expect(sent[0]?.body).toEqual({ job_id: 2, task: null, limit: 50, include_cluster_events: true })
  })

  test('the server can wait for us, and says how the job ended', async () => {
    recorded('jobs_wait.2-get')
    const wait = await sky.jobs.wait({ jobId: 2, giveUpAfterMs: 60_000 })
    expect(await wait.result()).toBe(0)
    expect(sent[0]?.body).toEqual({ job_id: 2, name: null, timeout: 60, task: null })
  })
})
