import { MockActivityEnvironment } from '@temporalio/testing'
import type { Pool } from 'pg'
import { expect, test } from 'vitest'
import { FleetView } from '../../activities/fleet-view.ts'
import { look } from '../../activities/look.ts'
import type { SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'

type Looked = Awaited<ReturnType<typeof look>>

const away = (): Promise<never> => Promise.reject(new SkyPilotError('unreachable', 'connection refused'))
const job = {
  jobId: 7,
  taskId: 0,
  jobName: 'exp-1.1.1',
  status: 'RUNNING',
  scheduleState: 'ALIVE',
  recoveryCount: 0,
  submittedAtMs: 1,
  startAtMs: 1,
  endAtMs: null,
  failureReason: null,
  details: null,
}
const cluster = { name: 'exp-2', status: 'UP', statusReason: null, launchedAtMs: 1, autostopMinutes: null }
const queue = () => Promise.resolve({ jobs: [job], unreadable: 0 })
const status = () => Promise.resolve({ clusters: [cluster], unreadable: 0 })

interface Answers {
  queue: () => Promise<unknown>
  status: () => Promise<unknown>
  clusterQueue?: () => Promise<unknown>
}

/** A look without tables, at a SkyPilot of which only these two answers matter. */
function lookAt(answers: Answers, view = new FleetView()) {
  const clusters = { status: answers.status, queue: answers.clusterQueue }
  const skypilot = { jobs: { queue: answers.queue }, clusters }
  const db = { query: () => Promise.reject(new Error('no tables')) }
  const deps = {
    skypilot: skypilot as unknown as SkyPilot,
    db: db as unknown as Pool,
    log: () => undefined,
    onProgress: () => undefined,
  }
  return new MockActivityEnvironment().run<[], Looked, () => Promise<Looked>>(() =>
    look(deps, view, { isAudit: false, areTablesBehind: false, startedAtMs: 1_000 }),
  )
}

const told = ({ news }: Looked) => [...news].map(([id, facts]) => [id, facts.map(({ kind }) => kind).join()])

test('row 39: without the tables all that lives is seen and told all the same', async () => {
  const seen = await lookAt({ queue, status })
  expect(told(seen)).toEqual([
    [1, 'observed'],
    [2, 'clusterSeen'],
  ])
  expect(seen.error).toBeNull()
})

test('when the managed jobs cannot be seen the clusters are, and the look says what is missing', async () => {
  const seen = await lookAt({ queue: away, status })
  expect(told(seen)).toEqual([[2, 'clusterSeen']])
  expect(seen.error).toBe('the jobs could not be seen: connection refused')
})

test('when the clusters cannot be seen the managed jobs are', async () => {
  const seen = await lookAt({ queue, status: away })
  expect(told(seen)).toEqual([[1, 'observed']])
  expect(seen.error).toBe('the clusters could not be seen: connection refused')
})

test('when neither can be seen it is no look', async () => {
  await expect(lookAt({ queue: away, status: away })).rejects.toThrow('connection refused')
})

test('row 24: of a list with rows that cannot be read nothing is concluded from absence', async () => {
  const seen = await lookAt({ queue, status: () => Promise.resolve({ clusters: [], unreadable: 1 }) })
  expect(told(seen)).toEqual([[1, 'observed']])
  expect(seen.error).toBe('1 of the clusters could not be read')
})

test("the number at the end of SkyPilot's own cluster is no experiment's", async () => {
  const own = { ...cluster, name: 'sky-jobs-controller-12345678' }
  const seen = await lookAt({ queue, status: () => Promise.resolve({ clusters: [own], unreadable: 0 }) })
  expect(told(seen)).toEqual([[1, 'observed']])
})

test('one row of clusters that cannot be read hides neither the others nor the jobs on them', async () => {
  const view = new FleetView()
  view.on('exp-2').track({ jobId: 1, jobName: 'exp-2.1.1', experimentId: 2 })
  const seen = await lookAt(
    {
      queue,
      status: () => Promise.resolve({ clusters: [cluster], unreadable: 1 }),
      clusterQueue: () =>
        Promise.resolve({ jobs: [{ ...job, jobId: 1, jobName: 'exp-2.1.1' }], unreadable: 0 }),
    },
    view,
  )
  expect(told(seen)).toEqual([
    [1, 'observed'],
    [2, 'clusterSeen,observed'],
  ])
  expect(seen.error).toBe('1 of the clusters could not be read')
})

test('a cluster that does not tell of the job on it is silent, since it last told all', async () => {
  const view = new FleetView()
  view.on('exp-2').track({ jobId: 1, jobName: 'exp-2.1.1', experimentId: 2 })
  const jobs = [{ ...job, jobId: 1, jobName: 'exp-2.1.1' }]
  const answers = [away, () => Promise.resolve({ jobs, unreadable: 0 }), away]
  const looks = [...answers, () => Promise.resolve({ jobs, unreadable: 1 })]
  const seen: Looked[] = []
  for (const clusterQueue of looks) seen.push(await lookAt({ queue, status, clusterQueue }, view))
  const silence = { clusterName: 'exp-2', error: 'connection refused' }
  expect(seen.map(({ silent }) => silent)).toEqual([
    [{ ...silence, wholeAtMs: null }],
    [],
    [{ ...silence, wholeAtMs: 1_000 }],
    [{ ...silence, wholeAtMs: 1_000, error: '1 of its jobs could not be read' }],
  ])
  expect((await lookAt({ queue, status: away }, view)).silent).toBeNull()
})

test.each([
  ['INIT', 0, ['the cluster is INIT']],
  ['STOPPED', 0, []],
  ['nowhere', 1, ['the cluster could not be read']],
])(
  'a cluster with a live job that is %s is silent as long as it cannot be asked',
  async (is, unreadable, errors) => {
    const view = new FleetView()
    view.on('exp-2').track({ jobId: 1, jobName: 'exp-2.1.1', experimentId: 2 })
    const clusters = is === 'nowhere' ? [] : [{ ...cluster, status: is }]
    const { silent } = await lookAt({ queue, status: () => Promise.resolve({ clusters, unreadable }) }, view)
    expect(silent?.map(({ error }) => error)).toEqual(errors)
  },
)

test('what was waited for on a cluster that was stopped is not missed when it is started again', async () => {
  const view = new FleetView()
  view.on('exp-2').track({ jobId: 1, jobName: 'exp-2.1.1', experimentId: 2 })
  const at = (is: string) => () => Promise.resolve({ clusters: [{ ...cluster, status: is }], unreadable: 0 })
  await lookAt({ queue, status: at('STOPPED') }, view)
  expect((await lookAt({ queue, status: at('INIT') }, view)).silent).toEqual([])
  // What an experiment still shows as live is waited for again.
  view.audit([{ jobId: 1, jobName: 'exp-2.1.1', experimentId: 2, clusterName: 'exp-2', status: 'RUNNING' }])
  expect((await lookAt({ queue, status: at('INIT') }, view)).silent).toHaveLength(1)
})

test('of a pipeline one thing is told, look after look, and not the end of its first task', async () => {
  const tasks = [
    { ...job, taskId: 0, status: 'SUCCEEDED', endAtMs: 2 },
    { ...job, taskId: 1 },
  ]
  const view = new FleetView()
  const pipeline = { queue: () => Promise.resolve({ jobs: tasks, unreadable: 0 }), status }
  const { news } = await lookAt(pipeline, view)
  expect(news.get(1)).toMatchObject([{ observation: { jobId: 7, status: 'RUNNING', endedAtMs: null } }])
  expect((await lookAt(pipeline, view)).news.get(1)).toBeUndefined()
})
