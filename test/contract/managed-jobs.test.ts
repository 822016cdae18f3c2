import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isTerminalManaged } from '../../skypilot/statuses.ts'
import {
  type ContractServer,
  downloaded,
  nameOf,
  outcomeOf,
  startContractServer,
  STEP_MS,
  TEST_MS,
  textOf,
} from './server.ts'

let server: ContractServer
let sky: ContractServer['sky']
const launched: number[] = []

beforeAll(async () => {
  server = await startContractServer()
  sky = server.sky
})
afterAll(async () => {
  if (launched.length > 0) await cancel(launched)
  for (const jobId of launched) await done(jobId)
  await server.close()
}, STEP_MS)

async function launch(what: string, task: Record<string, unknown>): Promise<number> {
  const jobId = await server.managed.launch(what, task)
  launched.push(jobId)
  return jobId
}

const done = (jobId: number) =>
  server.managed.until(
    jobId,
    ({ status, scheduleState }) => isTerminalManaged(status) && scheduleState === 'DONE',
  )

/** SkyPilot takes any cancel; the effect shows in the queue. */
const cancel = async (jobIds: readonly number[]) =>
  (await sky.jobs.cancel({ jobIds })).result({ timeoutMs: STEP_MS })

/** The log of a job and, as SkyPilot's own client would exit, how the job ended. */
async function logOf(jobId: number): Promise<{ text: string; exitCode: number | null }> {
  const log = await sky.jobs.tailLogs({ jobId, follow: false })
  const text = await textOf(Promise.resolve(log))
  return { text, exitCode: await log.exitCode() }
}

describe.concurrent('managed jobs', { timeout: TEST_MS }, () => {
  test('a success: its times in order, its output and its time line kept', async () => {
    const jobId = await launch('ok', { envs: { WORD: 'it is $HOME' }, run: 'echo "said: $WORD"; sleep 1' })
    const row = await done(jobId)
    expect(row).toMatchObject({ jobId, jobName: nameOf('ok'), status: 'SUCCEEDED', recoveryCount: 0 })
    expect(row.submittedAtMs!).toBeLessThanOrEqual(row.startAtMs!)
    expect(row.startAtMs!).toBeLessThanOrEqual(row.endAtMs!)
    expect(Math.abs(row.endAtMs! - Date.now())).toBeLessThan(STEP_MS)
    const { text, exitCode } = await logOf(jobId)
    expect(text).toContain('said: it is $HOME')
    expect(exitCode).toBe(0)

    const events = await sky.jobs.events({ jobId, limit: 100 })
    const seen = events.map(({ status }) => status).filter((status) => status !== null)
    expect(seen[0]).toBe('SUCCEEDED')
    expect(seen).toContain('STARTING')
    expect(seen.indexOf('RUNNING')).toBeLessThan(seen.indexOf('STARTING'))
    const times = events.map(({ atMs }) => atMs)
    expect(times).toEqual(times.toSorted((a, b) => b - a))
    // The server writes its clock without a zone: read as UTC it must be about now.
    expect(Math.abs(times[0]! - Date.now())).toBeLessThan(STEP_MS)
  })

  test('a failure says its exit code in words', async () => {
    const jobId = await launch('bad', { run: 'echo dying; exit 7' })
    const row = await done(jobId)
    expect(row).toMatchObject({ status: 'FAILED' })
    expect(row.failureReason).toMatch(/exited with exit code 7/)
    const { text, exitCode } = await logOf(jobId)
    expect(text).toContain('dying')
    expect(exitCode).toBe(100)
    const logs = await downloaded((into) => sky.jobs.downloadLogs({ jobId, into, timeoutMs: STEP_MS }))
    expect(logs).toContain('dying')
  })

  test('a failing setup is told apart', async () => {
    const jobId = await launch('setup', { setup: 'exit 9', run: 'echo never' })
    expect(await done(jobId)).toMatchObject({ status: 'FAILED_SETUP' })
  })

  test('a cancel takes effect some time after it was taken', async () => {
    const jobId = await launch('stop', { run: 'sleep 3000' })
    await server.managed.until(jobId, ({ status }) => status === 'RUNNING')
    const live = await sky.jobs.queue({ skipFinished: true })
    expect(live.jobs.map((job) => job.jobId)).toContain(jobId)
    expect(await textOf(sky.jobs.tailLogs({ jobId, controller: true, follow: false }))).not.toBe('')
    await cancel([jobId])
    expect(await done(jobId)).toMatchObject({ status: 'CANCELLED' })
    expect(await cancel([jobId])).toBeUndefined()
  })

  test('names are not unique: two launches of one name are two jobs', async () => {
    const jobIds = [await launch('twin', { run: 'true' }), await launch('twin', { run: 'true' })]
    expect(new Set(jobIds).size).toBe(2)
    const { jobs } = await sky.jobs.queue({ nameMatch: nameOf('twin') })
    expect(jobs.map(({ jobId }) => jobId).toSorted((a, b) => a - b)).toEqual(jobIds)
  })
})

describe('the managed queue', { timeout: TEST_MS }, () => {
  test('names match by a part of them, and an underscore is any character', async () => {
    const jobId = await launch('part.of.it', { run: 'true' })
    const found = async (nameMatch: string) =>
      (await sky.jobs.queue({ nameMatch })).jobs.map((job) => job.jobId)
    const name = nameOf('part.of.it')
    expect(await found(name.slice(3, -2))).toEqual([jobId])
    expect(await found(name.replaceAll('.', '_'))).toEqual([jobId])
    expect(await found(`${name}-not`)).toEqual([])
  })

  test('fields trim the answer, pages count it', async () => {
    const { jobs, total, totalNoFilter } = await sky.jobs.queue({ fields: ['job_name'], page: 1, limit: 1 })
    expect(jobs.length).toBe(1)
    expect(jobs[0]).toMatchObject({ failureReason: null, details: null })
    expect(total).toBeGreaterThan(1)
    expect(total).toBeLessThanOrEqual(totalNoFilter)
  })

  test('a cancel of a job that nobody has is taken like any other', async () => {
    expect(await outcomeOf(cancel([999_999]))).toBe('ok')
  })
})
