import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  can,
  type ContractServer,
  downloaded,
  nameOf,
  needs,
  outcomeOf,
  startContractServer,
  STEP_MS,
  taskOf,
  TEST_MS,
  textOf,
  until,
} from './server.ts'

let server: ContractServer
let sky: ContractServer['sky']
const launched = new Set<string>()

beforeAll(async () => {
  server = await startContractServer()
  sky = server.sky
})
afterAll(async () => {
  for (const name of launched) if (await rowOf(name)) await down(name)
  await server.close()
}, STEP_MS)

const LONG = { timeoutMs: STEP_MS }

function launch(name: string, task: Parameters<typeof taskOf>[0]) {
  launched.add(name)
  return sky.clusters.launch({ name, task: taskOf(task) })
}

/** Launches with a folder of this machine as the working directory. */
async function launchIn(folder: string, name: string, task: Parameters<typeof taskOf>[0]) {
  launched.add(name)
  const { fileMountsBlobId, ...sent } = await sky.uploadMounts({ task: taskOf({ ...task, workdir: folder }) })
  expect(fileMountsBlobId).toMatch(/^[0-9a-f]{64}$/)
  return sky.clusters.launch({ name, task: sent.task, fileMountsBlobId })
}
async function exec(name: string, task: Parameters<typeof taskOf>[0]): Promise<number> {
  const { jobId } = await (await sky.clusters.exec({ name, task: taskOf(task) })).result(LONG)
  return jobId!
}
const cancel = async (name: string, jobId: number) =>
  (await sky.clusters.cancel({ name, jobIds: [jobId] })).result(LONG)

/** The log of a job and, as SkyPilot's own client would exit, how the job ended. */
async function logOf(name: string, jobId: number): Promise<{ text: string; exitCode: number | null }> {
  const log = await sky.clusters.tailLogs({ name, jobId })
  const text = await textOf(Promise.resolve(log))
  return { text, exitCode: await log.exitCode() }
}

const down = async (name: string) => (await sky.clusters.down({ name })).result(LONG)
const rowOf = async (name: string) => (await sky.clusters.status({ names: [name] })).clusters[0]
const costOf = async (name: string) => (await sky.clusters.costReport()).filter((row) => row.name === name)

/** Waits until a job of a cluster has this status. */
const untilJob = (name: string, jobId: number, wanted: string) =>
  until(async () => {
    const status = (await sky.clusters.jobStatus({ name, jobIds: [jobId] })).get(jobId)
    if (status !== wanted) throw new Error(`job ${jobId} is ${status}`)
  })

/** Waits until there is something of the cluster, as a launch makes it. */
const untilThere = (name: string) =>
  until(async () => {
    const row = await rowOf(name)
    if (!row) throw new Error(`there is no cluster ${name}`)
    return row
  })

describe.concurrent('clusters', { timeout: TEST_MS }, () => {
  test('a life: launched, used, used again, taken down', async () => {
    const name = nameOf('life')
    const run = 'echo "said: $WORD"; sleep 2; echo bye'
    const first = await launch(name, { name: 'first', setup: 'echo prepared', envs: { WORD: 'a $b' }, run })
    const steps: string[] = []
    expect(await first.streamAndGet((line) => steps.push(line))).toEqual({ jobId: 1 })
    expect(steps.join('\n')).toContain('Job submitted, ID: 1')
    expect(await rowOf(name)).toMatchObject({ name, status: 'UP', nodes: 1, autostopMinutes: null })
    await untilJob(name, 1, 'SUCCEEDED')
    const said = await logOf(name, 1)
    expect(said.text).toContain('said: a $b')
    expect(said.text).toContain('bye')
    expect(said.exitCode).toBe(0)

    expect(await exec(name, { name: 'second', run: 'echo dying; exit 7' })).toBe(2)
    await untilJob(name, 2, 'FAILED')
    const died = await logOf(name, 2)
    expect(died.text).toContain('dying')
    expect(died.exitCode).toBe(100)

    expect(await exec(name, { name: 'third', run: 'sleep 3000' })).toBe(3)
    await untilJob(name, 3, 'RUNNING')
    await cancel(name, 3)
    await untilJob(name, 3, 'CANCELLED')
    expect(await cancel(name, 3)).toBeUndefined()
    expect((await logOf(name, 3)).exitCode).toBe(103)

    const { jobs, unreadable } = await sky.clusters.queue({ name })
    expect(unreadable).toBe(0)
    expect(jobs.map(({ jobId, jobName, status }) => [jobId, jobName, status])).toEqual([
      [3, 'third', 'CANCELLED'],
      [2, 'second', 'FAILED'],
      [1, 'first', 'SUCCEEDED'],
    ])
    const [, , job] = jobs
    expect(job!.submittedAtMs!).toBeLessThanOrEqual(job!.startAtMs!)
    expect(job!.endAtMs! - job!.startAtMs!).toBeGreaterThan(1_500)
    expect((await sky.clusters.jobStatus({ name, jobIds: [77] })).get(77)).toBeNull()
    expect((await sky.clusters.queue({ name, skipFinished: true })).jobs).toEqual([])
    const logs = await downloaded((into) => sky.clusters.downloadLogs({ name, jobIds: [2], into, ...LONG }))
    expect(logs).toContain('dying')

    await down(name)
    expect(await rowOf(name)).toBeUndefined()
    expect(await outcomeOf(sky.clusters.queue({ name }))).toBe('rejected ClusterDoesNotExist')
  })

  test('a launch takes a folder along; another on the same cluster reuses it; its record outlives it', async () => {
    const name = nameOf('reused')
    const folder = mkdtempSync(join(tmpdir(), 'skydeck-workdir-'))
    writeFileSync(join(folder, 'words.txt'), 'brought along')
    const first = await launchIn(folder, name, { name: 'first', run: 'cat words.txt' })
    expect(await first.result(LONG)).toEqual({ jobId: 1 })
    rmSync(folder, { recursive: true })
    // A log that is followed from the start can end without the output of a quick job; afterwards it is whole.
    await untilJob(name, 1, 'SUCCEEDED')
    expect((await logOf(name, 1)).text).toContain('brought along')
    const before = await rowOf(name)
    expect(await costOf(name)).toMatchObject([{ status: 'UP', isInUse: true }])
    const second = await launch(name, { name: 'second', setup: 'exit 9', run: 'echo never' })
    expect(await second.result(LONG)).toEqual({ jobId: 2 })
    await untilJob(name, 2, 'FAILED_SETUP')
    expect(await rowOf(name)).toMatchObject({ clusterHash: before!.clusterHash, status: 'UP' })

    await (await sky.clusters.autostop({ name, idleMinutes: 30, down: true })).result(LONG)
    expect(await rowOf(name)).toMatchObject({ autostopMinutes: 30, goesDownWhenIdle: true })
    await (await sky.clusters.autostop({ name, idleMinutes: -1 })).result(LONG)
    expect(await rowOf(name)).toMatchObject({ autostopMinutes: null })

    // One that is up is left as it is.
    await (await sky.clusters.start({ name })).result(LONG)
    expect(await rowOf(name)).toMatchObject({ clusterHash: before!.clusterHash, status: 'UP' })

    if (can('stop and start') !== true) {
      const stop = await sky.clusters.stop({ name })
      expect(await outcomeOf(stop.result(LONG))).toBe('rejected NotSupportedError')
      expect(await rowOf(name)).toMatchObject({ status: 'UP' })
    }

    const events = await sky.clusters.events({ name })
    expect(events.length).toBeGreaterThan(0)
    expect(events.map(({ atMs }) => atMs)).toEqual(events.map(({ atMs }) => atMs).toSorted((a, b) => a - b))

    await down(name)
    const [gone] = await costOf(name)
    expect(gone).toMatchObject({ clusterHash: before!.clusterHash, status: null, isInUse: false })
    expect(gone!.durationMs).toBeGreaterThan(0)
  })

  test('two launches at once: in flight both can be recognised; one waits; two jobs come of it', async () => {
    const name = nameOf('twice')
    const handles = await Promise.all(
      ['one', 'two'].map((word) => launch(name, { name: word, run: `echo ${word}` })),
    )
    const active = await sky.requests.list({ clusterName: name })
    const ours = active.filter((request) => request.name === 'sky.launch')
    expect(ours.map(({ requestId }) => requestId).toSorted()).toEqual(handles.map(({ id }) => id).toSorted())
    const bodies = ours.map(({ body }) => body as { cluster_name: string; task: string })
    expect(bodies.every((body) => body.cluster_name === name)).toBe(true)
    const names = bodies.map(({ task }) => /["']?name["']?:\s*["']?(one|two)/.exec(task)?.[1])
    expect(new Set(names)).toEqual(new Set(['one', 'two']))
    const results = await Promise.all(handles.map((handle) => handle.result(LONG)))
    expect(new Set(results.map(({ jobId }) => jobId))).toEqual(new Set([1, 2]))
    expect(await sky.requests.list({ clusterName: name })).toEqual([])
    const { jobs } = await sky.clusters.queue({ name })
    expect(jobs.map(({ jobName }) => jobName).toSorted()).toEqual(['one', 'two'])
    await down(name)
  })

  test('a launch that is cancelled leaves a cluster half made, and the next one takes it over', async () => {
    const name = nameOf('cancelled')
    const given = await launch(name, { name: 'given-up', run: 'true' })
    await untilThere(name)
    await given.cancel()
    expect(await outcomeOf(given.result(LONG))).toBe('cancelled')
    expect(await rowOf(name)).toMatchObject({ status: 'INIT' })
    expect(await outcomeOf(sky.clusters.queue({ name }))).toBe('rejected ClusterNotUpError')
    expect(await (await launch(name, { name: 'again', run: 'true' })).result(LONG)).toEqual({ jobId: 1 })
    // It may have another hash than before: a cluster that was never up has no identity to keep.
    expect(await rowOf(name)).toMatchObject({ status: 'UP' })
    await down(name)
  })

  test('a cluster taken down during its launch is gone, and a new one starts to count from 1', async () => {
    const name = nameOf('downed')
    const given = await launch(name, { name: 'given-up', run: 'true' })
    const before = await untilThere(name)
    await down(name)
    expect(await outcomeOf(given.result(LONG))).toBe('cancelled')
    expect(await rowOf(name)).toBeUndefined()
    expect(await sky.requests.list({ clusterName: name })).toEqual([])
    expect(await (await launch(name, { name: 'again', run: 'true' })).result(LONG)).toEqual({ jobId: 1 })
    expect((await rowOf(name))?.clusterHash).not.toBe(before.clusterHash)
    await down(name)
  })

  test('a stopped cluster keeps its record, and starts again', async (context) => {
    needs('stop and start', context)
    const name = nameOf('stopped')
    await (await launch(name, { name: 'first', run: 'true' })).result(LONG)
    await untilJob(name, 1, 'SUCCEEDED')
    await (await sky.clusters.stop({ name })).result(LONG)
    expect(await rowOf(name)).toMatchObject({ status: 'STOPPED' })
    expect(await outcomeOf(sky.clusters.queue({ name }))).toBe('rejected ClusterNotUpError')
    await (await sky.clusters.start({ name })).result(LONG)
    expect(await rowOf(name)).toMatchObject({ status: 'UP' })
    expect((await sky.clusters.queue({ name })).jobs).toMatchObject([{ jobId: 1, status: 'SUCCEEDED' }])
    await down(name)
  })
})

describe('several nodes', { timeout: TEST_MS }, () => {
  test('run the same command, each with its rank', async (context) => {
    needs('several nodes', context)
    const name = nameOf('nodes')
    const task = {
      name: 'ranks',
      num_nodes: 2,
      run: 'echo "rank $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES"',
    }
    await (await launch(name, task)).result(LONG)
    expect(await rowOf(name)).toMatchObject({ nodes: 2 })
    const { text, exitCode } = await logOf(name, 1)
    expect(text).toContain('rank 0 of 2')
    expect(text).toContain('rank 1 of 2')
    expect(exitCode).toBe(0)
    await down(name)
  })
})

describe('what a server refuses of clusters', { timeout: TEST_MS }, () => {
  const nobody = nameOf('nobody')
  const calls: ReadonlyArray<[string, () => Promise<unknown>]> = [
    ['exec', () => exec(nobody, { run: 'true' })],
    ['queue', () => sky.clusters.queue({ name: nobody })],
    ['job status', () => sky.clusters.jobStatus({ name: nobody })],
    ['cancel', () => cancel(nobody, 1)],
    ['down', () => down(nobody)],
    ['stop', async () => (await sky.clusters.stop({ name: nobody })).result(LONG)],
    ['start', async () => (await sky.clusters.start({ name: nobody })).result(LONG)],
    ['autostop', async () => (await sky.clusters.autostop({ name: nobody, idleMinutes: 5 })).result(LONG)],
  ]
  test.for(calls)('%s of a cluster that is not there', async ([, call]) => {
    expect(await outcomeOf(call())).toBe('rejected ClusterDoesNotExist')
  })

  test('asked for its status, one that is not there is no error', async () => {
    expect(await sky.clusters.status({ names: [nobody] })).toEqual({ clusters: [], unreadable: 0 })
  })

  test.for(['1st', 'a b', 'ends-', 'umläut'])('a cluster may not be named %j', async (name) => {
    const handle = sky.clusters.launch({ name, task: taskOf({ run: 'true' }) })
    expect(await outcomeOf(handle.then((each) => each.result(LONG)))).toBe('rejected InvalidClusterNameError')
  })

  test('more than any machine has', async () => {
    const task = taskOf({ resources: { accelerators: 'H100:9' }, run: 'true' })
    const handle = await sky.clusters.launch({ name: nobody, dryrun: true, task })
    expect(await outcomeOf(handle.result(LONG))).toBe('rejected ResourcesUnavailableError')
  })

  test('a dry run starts nothing', async () => {
    const handle = await sky.clusters.launch({ name: nobody, dryrun: true, task: taskOf({ run: 'true' }) })
    expect(await handle.result(LONG)).toEqual({ jobId: null })
    expect(await sky.clusters.status({ names: [nobody] })).toEqual({ clusters: [], unreadable: 0 })
  })

  test('spot machines, where there are none', async () => {
    const task = taskOf({ resources: { use_spot: true }, run: 'true' })
    const handle = await sky.clusters.launch({ name: nobody, dryrun: true, task })
    const expected = can('spot') === true ? 'ok' : 'rejected ResourcesUnavailableError'
    expect(await outcomeOf(handle.result(LONG))).toBe(expected)
  })
})
