import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type LocalSkyPilot, startLocalSkyPilot } from '../../local/skypilot/server.ts'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { isTerminalManaged } from '../../skypilot/statuses.ts'

/**
 * What SkyDeck relies on of a SkyPilot API server. Runs against the local one always, and against a real one when
 * SKYDECK_CONTRACT_ENDPOINT names it (`npm run test:skypilot` starts one); SKYDECK_CONTRACT_INFRA says where on it
 * jobs shall run, such as `slurm`.
 */
const endpoint = process.env['SKYDECK_CONTRACT_ENDPOINT']
const infra = process.env['SKYDECK_CONTRACT_INFRA']
const SLOW_MS = endpoint ? 900_000 : 20_000
const STAMP = Date.now().toString(36)

let sky: SkyPilot
let local: LocalSkyPilot | undefined
const home = mkdtempSync(join(tmpdir(), 'skydeck-contract-'))
const launched: number[] = []

beforeAll(async () => {
  if (!endpoint) local = await startLocalSkyPilot({ home, port: 0, slots: 8, graceMs: 2_000 })
  sky = createSkyPilot({ endpoint: endpoint ?? local?.url ?? '', timeoutMs: 60_000 })
})
afterAll(async () => {
  if (launched.length > 0) await sky.jobs.cancel({ jobIds: launched })
  if (!endpoint) for (const jobId of launched) await done(jobId)
  await local?.close()
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

const nameOf = (what: string): string => `contract-${STAMP}-${what}`

async function launch(what: string, task: Record<string, unknown>): Promise<number> {
  const name = nameOf(what)
  const resources = infra ? { infra, cpus: 1 } : {}
  const requestId = await sky.jobs.launch({ name, task: JSON.stringify({ name, resources, ...task }) })
  const [jobId] = sky.requests.launchedJobIds(await sky.requests.get(requestId, { timeoutMs: SLOW_MS }))
  if (jobId === undefined) throw new Error('a launch that names no job')
  launched.push(jobId)
  return jobId
}

const recordOf = async (jobId: number) => (await sky.jobs.queue({ jobIds: [jobId] })).jobs[0]

const until = (
  jobId: number,
  isIt: (status: string, scheduleState: string | null) => boolean,
): Promise<void> =>
  vi.waitFor(
    async () => {
      const record = await recordOf(jobId)
      if (!record || !isIt(record.status, record.scheduleState))
        throw new Error(`job ${jobId} is ${record?.status} (${record?.scheduleState})`)
    },
    { timeout: SLOW_MS, interval: endpoint ? 3_000 : 100 },
  )

const done = (jobId: number) =>
  until(jobId, (status, schedule) => isTerminalManaged(status) && schedule === 'DONE')

async function logOf(jobId: number): Promise<string> {
  const lines: string[] = []
  for await (const line of await sky.jobs.tailLogs({ jobId, follow: false })) lines.push(line)
  return lines.join('\n')
}

test('it says who it is, in a version that can be relied on', async () => {
  expect(await sky.health()).toMatchObject({ status: 'healthy' })
})

describe.concurrent('managed jobs', () => {
  test(
    'a success: found by its name, its times in order, its output kept',
    { timeout: 2 * SLOW_MS },
    async () => {
      const jobId = await launch('ok', { envs: { WORD: 'it is $HOME' }, run: 'echo "said: $WORD"; sleep 1' })
      await done(jobId)
      const { jobs } = await sky.jobs.queue({ nameMatch: nameOf('ok') })
      const record = jobs.find(({ jobName }) => jobName === nameOf('ok'))
      expect(record).toMatchObject({ jobId, status: 'SUCCEEDED', scheduleState: 'DONE', recoveryCount: 0 })
      expect(record!.submittedAtMs!).toBeLessThanOrEqual(record!.startAtMs!)
      expect(record!.startAtMs!).toBeLessThanOrEqual(record!.endAtMs!)
      expect(Math.abs(record!.endAtMs! - Date.now())).toBeLessThan(SLOW_MS)
      expect(await logOf(jobId)).toContain('said: it is $HOME')
    },
  )

  test('a failure says its exit code in words', { timeout: 2 * SLOW_MS }, async () => {
    const jobId = await launch('bad', { run: 'echo dying; exit 7' })
    await done(jobId)
    const record = await recordOf(jobId)
    expect(record).toMatchObject({ status: 'FAILED' })
    expect(record?.failureReason).toMatch(/exited with exit code 7/)
    expect(await logOf(jobId)).toContain('dying')
  })

  test('a failing setup is told apart', { timeout: 2 * SLOW_MS }, async () => {
    const jobId = await launch('setup', { setup: 'exit 9', run: 'echo never' })
    await done(jobId)
    expect(await recordOf(jobId)).toMatchObject({ status: 'FAILED_SETUP' })
  })

  test('a cancel takes effect some time after it was taken', { timeout: 2 * SLOW_MS }, async () => {
    const jobId = await launch('stop', { run: 'sleep 3000' })
    await until(jobId, (status) => status === 'RUNNING')
    const live = await sky.jobs.queue({ skipFinished: true })
    expect(live.jobs.map((job) => job.jobId)).toContain(jobId)
    await sky.jobs.cancel({ jobIds: [jobId] })
    await done(jobId)
    expect(await recordOf(jobId)).toMatchObject({ status: 'CANCELLED' })
    await expect(sky.jobs.cancel({ jobIds: [jobId] })).resolves.toBeUndefined()
  })

  test('names are not unique: two launches of one name are two jobs', { timeout: 2 * SLOW_MS }, async () => {
    const jobIds = [await launch('twin', { run: 'true' }), await launch('twin', { run: 'true' })]
    expect(new Set(jobIds).size).toBe(2)
    const { jobs } = await sky.jobs.queue({ nameMatch: nameOf('twin') })
    expect(jobs.map(({ jobId }) => jobId).toSorted((a, b) => a - b)).toEqual(jobIds)
  })

  test('fields trim the answer, pages count it', async () => {
    const { jobs, total, totalNoFilter } = await sky.jobs.queue({ fields: ['job_name'], page: 1, limit: 1 })
    expect(jobs.length).toBeLessThanOrEqual(1)
    expect(total).toBeLessThanOrEqual(totalNoFilter)
  })
})

describe('requests', () => {
  test('a task that cannot be read is rejected, with the name of the exception', async () => {
    const requestId = await sky.jobs.launch({ name: nameOf('broken'), task: 'num_nodes: [1' }).catch(kindOf)
    const outcome = requestId.startsWith('kind:')
      ? requestId
      : await sky.requests.get(requestId).then(ok, kindOf)
    expect(outcome).toBe('kind:rejected')
  })

  test('an id that nobody gave is not found', async () => {
    const unknown = '00000000-0000-4000-8000-000000000000'
    await expect(sky.requests.get(unknown)).rejects.toMatchObject({ kind: 'not-found' })
  })

  test('finished requests are only listed when they are asked for', async () => {
    const all = await sky.requests.list({ allStatus: true, fields: ['request_id', 'name', 'status'] })
    expect(all.some(({ name }) => name === 'sky.jobs.launch')).toBe(true)
  })
})

const ok = (): string => 'ok'
const kindOf = (error: unknown): string =>
  `kind:${typeof error === 'object' && error !== null && 'kind' in error ? String(error.kind) : String(error)}`
