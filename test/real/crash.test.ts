import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFailed, test, vi } from 'vitest'
import { parseClusterName, parseJobName } from '../../core/build-task.ts'
import { createSkyPilot } from '../../skypilot/client.ts'
import { isTerminalJob, isTerminalManaged } from '../../skypilot/statuses.ts'
import { TestDesk } from '../support/desk.ts'
import { allocations, describeAllocations, isHeld, tasksNamed } from '../support/slurm.ts'

/**
 * SkyDeck against a real SkyPilot API server whose tasks really run: whatever is killed, there is one job. Believed is
 * what others say: Slurm's own list, SkyPilot's managed queue, the process table, and a line that each start of the
 * command itself writes.
 */
const endpoint = process.env['SKYDECK_CONTRACT_ENDPOINT'] ?? ''
const REAL = new URL('../support/real-skypilot.sh', import.meta.url).pathname
const WAIT = { timeoutMs: 600_000 }
const TEST_MS = 1_500_000
const WATCH_MS = 2_000
const STAMP = Date.now().toString(36)
const run = promisify(execFile)

const sky = createSkyPilot({ endpoint, timeoutMs: 60_000 })
const ledgers = mkdtempSync(join(tmpdir(), 'skydeck-real-'))
let desk: TestDesk

beforeAll(async () => {
  // Tasks run as a user of their own.
  chmodSync(ledgers, 0o777)
  desk = await TestDesk.create(50, { SKYPILOT_API_SERVER_ENDPOINT: endpoint })
})
afterAll(async () => {
  await desk.dispose()
  rmSync(ledgers, { recursive: true, force: true })
})

interface Story {
  executor: Executor
  id: number
  name: string
  mark: string
  /** The most that was seen at once, while the story went on. */
  most: { allocations: number; processes: number }
  end: () => void
}

/** An experiment that sleeps, and somebody who watches it from outside. */
async function begin(executor: Executor, what: string): Promise<Story> {
  // Short, for SkyPilot shortens long names of clusters, and then they are not found any more.
  const name = `${executor.executor.slice(0, 1)}-${what}-${STAMP}`
  const mark = `mark-${name}`
  const command = `echo started >> ${ledgerOf(name)}; exec -a ${mark} sleep 3000`
  const { id } = await desk.sdk.create({ name, command, executor: executor.executor })
  const most = { allocations: 0, processes: 0 }
  const look = () => {
    most.allocations = Math.max(most.allocations, held(name).length)
    most.processes = Math.max(most.processes, tasksNamed(mark).length)
  }
  const watch = setInterval(look, WATCH_MS)
  // oxlint-disable-next-line no-console -- a crash that came out wrong can seldom be repeated
  onTestFailed(async () => console.log(await desk.story()))
  return { executor, id, name, mark, most, end: () => clearInterval(watch) }
}

const ledgerOf = (name: string): string => join(ledgers, name)
const held = (name: string) => allocations(name).filter(isHeld)

function starts(name: string): number {
  try {
    return readFileSync(ledgerOf(name), 'utf8').trim().split('\n').length
  } catch {
    return 0
  }
}

/** A job as SkyPilot lists it. */
interface Seen {
  jobId: number
  jobName: string
  status: string
  isOver: boolean
}

/** The managed jobs that SkyPilot has ever had for an experiment. */
async function managedJobsOf(name: string): Promise<Seen[]> {
  const { jobs, unreadable } = await sky.jobs.queue({ nameMatch: name })
  expect(unreadable).toBe(0)
  return jobs
    .filter((job) => parseJobName(job.jobName)?.name === name)
    .map(({ jobId, jobName, status }) => ({ jobId, jobName, status, isOver: isTerminalManaged(status) }))
}

/** The jobs on the cluster of an experiment; while there is only the beginning of a cluster, that. */
async function clusterJobsOf(name: string): Promise<Seen[]> {
  const { clusters, unreadable } = await sky.clusters.status()
  expect(unreadable).toBe(0)
  const cluster = clusters.find((each) => parseClusterName(each.name)?.name === name)
  if (!cluster) return []
  if (cluster.status !== 'UP') return [{ jobId: 0, jobName: cluster.name, status: 'STARTING', isOver: false }]
  const { jobs } = await sky.clusters.queue({ name: cluster.name })
  return jobs.map(({ jobId, jobName, status }) => ({ jobId, jobName, status, isOver: isTerminalJob(status) }))
}

/** What runs jobs, how those are found without SkyDeck, and what is wished so that no machine is left. */
const EXECUTORS = [
  { executor: 'managed', jobsOf: managedJobsOf, request: 'sky.jobs.launch', gone: 'STOPPED' },
  { executor: 'cluster', jobsOf: clusterJobsOf, request: 'sky.launch', gone: 'TERMINATED' },
] as const
type Executor = (typeof EXECUTORS)[number]

/** Waits until something is so that may fail to be seen for a while, as a server does that is starting. */
const until = <T>(look: () => Promise<T>, intervalMs = 3_000): Promise<T> =>
  vi.waitFor(look, { timeout: WAIT.timeoutMs, interval: intervalMs })

const untilStatus = ({ name, executor }: Story, wanted: readonly string[]) =>
  until(async () => {
    const [job] = await executor.jobsOf(name)
    if (!job || !wanted.includes(job.status)) throw new Error(`${name} is ${job?.status}`)
  })

/** Waits until the launch is in the server's hands, where it stays for a few seconds only. */
const untilRequested = ({ name, executor }: Story) =>
  until(async () => {
    const active = await sky.requests.list()
    const launches = active.filter((request) => request.name === executor.request)
    const isOurs = ({ body }: { body: unknown }): boolean => JSON.stringify(body).includes(`${name}-`)
    if (!launches.some(isOurs)) throw new Error(`no launch of ${name} is in flight`)
  }, 100)

/** SIGKILL to the API server and all its controllers, and a new server. */
async function crashServer(): Promise<void> {
  await run('bash', [REAL, 'crash'])
  await run('bash', [REAL, 'start'])
}

/** Waits until SkyDeck has read all of SkyPilot anew. */
function untilSynced(): Promise<void> {
  const askedAtMs = Date.now()
  return until(async () => {
    const health = (await (await fetch(`${desk.url}/api/health`)).json()) as {
      skypilot: { last_sync: string; error: string | null }
    }
    expect(health.skypilot.error).toBeNull()
    expect(Date.parse(health.skypilot.last_sync)).toBeGreaterThan(askedAtMs)
  })
}

/** Shows and checks that the experiment has one job, whoever is asked. */
async function expectOne(story: Story, wantedStarts = 1): Promise<void> {
  const { name, mark, most, executor } = story
  await show(story)
  const jobs = await executor.jobsOf(name)
  expect(tasksNamed(mark)).toHaveLength(1)
  expect(jobs).toMatchObject([{ isOver: false }])
  expect(held(name)).toHaveLength(1)
  expect(most).toEqual({ allocations: 1, processes: 1 })
  expect(starts(name)).toBe(wantedStarts)
}

/** Stops it and checks that nothing is left. */
async function expectNone(story: Story): Promise<void> {
  const { id, name, mark, executor } = story
  await desk.sdk.setDesiredState(id, executor.gone)
  await desk.sdk.waitFor(id, ['stopped', 'terminated', 'idle'], WAIT)
  await vi.waitFor(() => expect(held(name)).toEqual([]), { timeout: 300_000, interval: 2_000 })
  await show(story)
  const jobs = await executor.jobsOf(name)
  expect(jobs.filter(({ isOver }) => !isOver)).toEqual([])
  expect(jobs.length).toBeLessThanOrEqual(1)
  expect(tasksNamed(mark)).toEqual([])
  story.end()
}

async function show({ id, name, mark, most, executor }: Story): Promise<void> {
  const { phase, why } = await desk.sdk.get(id)
  const jobs = await executor.jobsOf(name)
  const all = allocations(name)
  // oxlint-disable-next-line no-console -- the proof is what the others say, so it is shown
  console.log(
    [
      `--- ${name}: SkyDeck says ${phase}: ${why}`,
      ...jobs.map(({ jobId, jobName, status }) => `SkyPilot's queue: ${jobId} ${jobName} ${status}`),
      ...all.map(({ slurmId, name: cluster, state }) => `squeue: ${slurmId} ${cluster} ${state}`),
      describeAllocations(all.filter(isHeld)),
      `processes now: ${tasksNamed(mark).length}; at once at most ${most.processes}, allocations ${most.allocations}; starts ever: ${starts(name)}`,
    ].join('\n'),
  )
}

describe.each(EXECUTORS)('a real SkyPilot, $executor', { timeout: TEST_MS }, (executor) => {
  test('start and stop: one job, then none', async () => {
    const story = await begin(executor, 'plain')
    await desk.sdk.setDesiredState(story.id, 'RUNNING')
    await desk.sdk.waitFor(story.id, 'running', WAIT)
    await expectOne(story)
    await expectNone(story)
  })

  test('stopped while the launch is in flight: nothing is left', async () => {
    const story = await begin(executor, 'regret')
    await desk.sdk.setDesiredState(story.id, 'RUNNING')
    await untilRequested(story)
    await expectNone(story)
    expect(story.most.allocations).toBeLessThanOrEqual(1)
  })

  test('stopped while the machines are being made: nothing is left', async () => {
    const story = await begin(executor, 'early')
    await desk.sdk.setDesiredState(story.id, 'RUNNING')
    await untilStatus(story, ['STARTING'])
    await expectNone(story)
    expect(story.most.allocations).toBeLessThanOrEqual(1)
  })

  test('the worker is killed during the launch: one job, adopted', async () => {
    const story = await begin(executor, 'orphan')
    await desk.sdk.setDesiredState(story.id, 'RUNNING')
    await untilRequested(story)
    desk.kill('worker')
    await desk.sdk.waitFor(story.id, 'running', WAIT)
    await expectOne(story)
    await expectNone(story)
  })

  test('the API server and its controllers are killed during STARTING: one job', async () => {
    const story = await begin(executor, 'starting')
    await desk.sdk.setDesiredState(story.id, 'RUNNING')
    await untilStatus(story, ['STARTING'])
    await crashServer()
    await desk.sdk.waitFor(story.id, 'running', WAIT)
    await expectOne(story)
    await expectNone(story)
  })

  test('the API server and its controllers are killed during RUNNING: the same job goes on', async () => {
    const story = await begin(executor, 'running')
    await desk.sdk.setDesiredState(story.id, 'RUNNING')
    await desk.sdk.waitFor(story.id, 'running', WAIT)
    await expectOne(story)
    const before = await desk.sdk.get(story.id)
    const pids = tasksNamed(story.mark)
    await crashServer()
    await untilStatus(story, ['RUNNING'])
    await untilSynced()
    expect(await desk.sdk.get(story.id)).toMatchObject({
      phase: 'running',
      job_id: before.job_id,
      run: before.run,
    })
    expect(tasksNamed(story.mark)).toEqual(pids)
    await expectOne(story)
    await expectNone(story)
  })
})
