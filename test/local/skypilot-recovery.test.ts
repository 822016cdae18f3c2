import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Job, TestSkyPilot } from './skypilot-client.ts'

let sky: TestSkyPilot

beforeEach(async () => {
  sky = await new TestSkyPilot().start()
})
afterEach(() => sky.dispose())

const set = (settings: Record<string, unknown>) => sky.post('/local/settings', settings)
const faults = (...given: Array<Record<string, unknown>>) => sky.post('/local/faults', given)
const recovered = async (id: number) =>
  (await sky.job(id)) as Job & { recovery_count: number; details: string | null }

describe('a managed job', () => {
  test('whose machine is lost recovers: it runs again somewhere else, and its log goes on', async () => {
    await set({ recoveryMs: 400 })
    const id = await sky.launch('echo "ran on $(basename $(dirname $PWD))"; sleep 60')
    await sky.until(id, 'RUNNING')
    const before = sky.processes()
    expect(await (await sky.post('/local/preempt', { job_ids: [id] })).json()).toEqual({ preempted: [id] })
    await sky.until(id, 'RECOVERING')
    expect(sky.processes().filter((pid) => before.includes(pid))).toEqual([])
    expect((await recovered(id)).details).toContain('Recovering')
    await sky.until(id, 'RUNNING')
    expect(await recovered(id)).toMatchObject({ recovery_count: 1, end_at: null, details: null })
    await expect.poll(() => sky.logs(id, { follow: false })).toContain('ran on recovery-1')
    expect((await sky.ledger()).map(({ effect }) => effect)).toEqual([
      'submitted',
      'starting',
      'process',
      'running',
      'preempted',
      'recovering',
      'process',
      'running',
    ])
  })

  test('that is recovering goes on recovering when the server comes back', async () => {
    await set({ recoveryMs: 60_000 })
    const id = await sky.launch('sleep 0.5')
    await sky.until(id, 'RUNNING')
    await sky.post('/local/preempt', { name: 'job' })
    await sky.until(id, 'RECOVERING')
    await sky.stop()
    await sky.start()
    await sky.until(id, 'SUCCEEDED')
    expect(await sky.count('process')).toBe(2)
  })

  test('is begun again after errors, as often as it says', async () => {
    const recovery = { resources: { job_recovery: { max_restarts_on_errors: 2 } } }
    const id = await sky.launch('exit 3', recovery)
    expect((await sky.until(id, 'FAILED', 10_000)).failure_reason).toContain('exit code 3')
    expect((await recovered(id)).recovery_count).toBe(2)
    expect(await sky.count('process')).toBe(3)
  })

  test('is begun again for some exit codes without counting', async () => {
    const recovery = { resources: { job_recovery: { recover_on_exit_codes: [33] } } }
    const run = 'case $PWD in *recovery-2*) exit 0;; *) exit 33;; esac'
    const id = await sky.launch(run, recovery)
    await sky.until(id, 'SUCCEEDED', 10_000)
    expect((await recovered(id)).recovery_count).toBe(2)
  })

  test('without capacity waits in STARTING, and says so; without resources it fails', async () => {
    await faults({ kind: 'no-capacity', name: 'held' }, { kind: 'no-resource', name: 'refused' })
    const held = await sky.launch('true', {}, 'held')
    const refused = await sky.launch('true', {}, 'refused')
    await sky.until(refused, 'FAILED_NO_RESOURCE')
    await expect.poll(async () => (await recovered(held)).details).toContain('pending: Resources')
    expect((await sky.job(held)).status).toBe('STARTING')
    await faults()
    await sky.until(held, 'SUCCEEDED')
  })

  test('that no machine could hold fails its checks', async () => {
    const id = await sky.launch('true', { resources: { accelerators: 'H100:64' } })
    expect((await sky.until(id, 'FAILED_PRECHECKS')).failure_reason).toMatch(
      /^\[sky\.exceptions\.ResourcesUnavailableError\] Catalog does not contain/,
    )
  })

  test('has its last status before it is DONE, and is CANCELLING for a while', async () => {
    await set({ doneLagMs: 700 })
    const id = await sky.launch('true')
    expect(await sky.until(id, 'SUCCEEDED')).toMatchObject({ schedule_state: 'ALIVE' })
    expect((await sky.queue({ skip_finished: true })).jobs).toEqual([])
    await expect.poll(async () => (await sky.job(id)).schedule_state).toBe('DONE')
    await faults({ kind: 'slow-cancel', delayMs: 600 })
    const slow = await sky.launch('sleep 60')
    await sky.until(slow, 'RUNNING')
    const askedAtMs = performance.now()
    await sky.call('/jobs/cancel', { job_ids: [slow] })
    await sky.until(slow, 'CANCELLING')
    expect(sky.processes().length).toBeGreaterThan(0)
    await sky.until(slow, 'CANCELLED')
    expect(performance.now() - askedAtMs).toBeGreaterThan(590)
  })

  test('can be waited for, and its logs can be downloaded', async () => {
    const id = await sky.launch('echo kept; exit 1')
    expect(await sky.call('/jobs/wait', { job_id: id })).toBe(100)
    expect(await sky.call('/jobs/wait', { name: 'job' })).toBe(100)
    const live = await sky.launch('sleep 60')
    expect(await sky.call('/jobs/wait', { job_id: live, timeout: 0 })).toBe(101)
    const folders = await sky.call<Record<string, string>>('/jobs/download_logs', { name: null, job_id: id })
    expect(Object.keys(folders)).toEqual([String(id)])
  })
})

describe('faults', () => {
  test('of listings: empty, partial, duplicate, wrong scope, unknown status', async () => {
    const ids = [await sky.launch('true'), await sky.launch('true')]
    for (const id of ids) await sky.until(id, 'SUCCEEDED')
    const total = async (kind: string) => {
      await faults({ kind, match: '/jobs/queue', times: 1 })
      return (await sky.queue()).total
    }
    expect(await total('empty')).toBe(0)
    expect(await total('partial')).toBe(1)
    expect(await total('duplicate')).toBe(4)
    expect(await total('wrong-scope')).toBe(0)
    await faults({ kind: 'unknown-status', match: '/jobs/queue', times: 1 })
    expect((await sky.queue()).jobs.map(({ status }) => status)).toEqual(['HIBERNATING', 'HIBERNATING'])
    expect((await sky.queue()).total).toBe(2)
  })

  test('stale by so many changes', async () => {
    await faults({ kind: 'stale', match: '/jobs/queue', versions: 1 })
    const id = await sky.launch('sleep 60')
    await expect.poll(async () => (await sky.ledger()).some(({ effect }) => effect === 'running')).toBe(true)
    expect((await sky.job(id)).status).toBe('STARTING')
    await faults({ kind: 'stale', match: '/jobs/queue', versions: 50 })
    await sky.call('/jobs/cancel', { job_ids: [id] })
    await expect
      .poll(async () => (await sky.ledger()).some(({ effect }) => effect === 'cancelled'))
      .toBe(true)
    expect((await sky.job(id)).status).toBe('RUNNING')
  })

  test('only for a name', async () => {
    await faults({ kind: 'status', status: 503, match: '/jobs/launch', name: 'exp-*' })
    const post = (name: string) => sky.post('/jobs/launch', { name, task: '{}' })
    expect((await post('exp-1')).status).toBe(503)
    expect((await post('other')).status).toBe(200)
  })

  test('of the version: another one, and none for us', async () => {
    await faults({ kind: 'version-bump', apiVersion: '70', minVersion: 50, times: 2 })
    const health = await sky.get('/api/health')
    expect(health.headers.get('x-skypilot-api-version')).toBe('70')
    expect(await health.json()).toMatchObject({ api_version: '70', status: 'healthy' })
    const old = await fetch(`${sky.url}/api/health`, {
      headers: { 'X-SkyPilot-API-Version': '49', 'X-SkyPilot-Version': '0.13.0' },
    })
    expect(old.status).toBe(400)
    expect(await old.json()).toMatchObject({ error: 'version_mismatch' })
  })

  test('preempt by a fault, once', async () => {
    await faults({ kind: 'preempt', name: 'job', times: 1 })
    const id = await sky.launch('sleep 60')
    await expect.poll(async () => (await recovered(id)).recovery_count).toBe(1)
    await sky.until(id, 'RUNNING')
    expect(await sky.count('preempted')).toBe(1)
  })

  test('and settings can be given at the start', async () => {
    await sky.stop()
    sky.options.faults = [{ kind: 'status', status: 503, match: '/api/health', times: 1 }]
    sky.options.settings = { pricePerHour: 2 }
    await sky.start()
    expect((await sky.get('/api/health')).status).toBe(503)
    expect(await (await sky.get('/local/settings')).json()).toMatchObject({
      pricePerHour: 2,
      longRequests: 4,
    })
    expect((await set({ nonsense: 1 })).status).toBe(422)
  })

  test('the ledger can be read from where one stopped', async () => {
    await sky.until(await sky.launch('true'), 'SUCCEEDED')
    const all = (await (await sky.get('/local/ledger')).json()) as Array<{ seq: number }>
    expect(await (await sky.get(`/local/ledger?after=${all[1]!.seq}`)).json()).toEqual(all.slice(2))
  })
})
