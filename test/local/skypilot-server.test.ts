import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startNode } from '../../local/skypilot/node-process.ts'
import { startLocalSkyPilot } from '../../local/skypilot/server.ts'
import { TestSkyPilot } from './skypilot-client.ts'

let sky: TestSkyPilot

beforeEach(async () => {
  sky = await new TestSkyPilot().start()
})
afterEach(() => sky.dispose())

/** A dead process that nobody has collected is dead. */
const isAlive = (pid: number): boolean => {
  const shown = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
  return shown !== '' && !shown.startsWith('Z')
}

describe('a job', () => {
  test('runs, and its output can be read', async () => {
    const id = await sky.launch('echo "hello $WHO from $SKYPILOT_NODE_RANK"; pwd', { envs: { WHO: 'desk' } })
    const log = await sky.logs(id)
    expect(log).toMatch(/^\(job, pid=\d+\) hello desk from 0$/m)
    expect(log).toContain(join(sky.home, 'jobs', '1', 'work'))
    expect(log).toMatch(/Job finished \(status: SUCCEEDED\)\.\n$/)
    const job = await sky.job(id)
    expect(job).toMatchObject({ job_id: id, job_name: 'job', status: 'SUCCEEDED', schedule_state: 'DONE' })
    expect(job.end_at).toBeGreaterThanOrEqual(job.start_at!)
    expect((await sky.ledger()).map(({ effect }) => effect)).toEqual([
      'submitted',
      'starting',
      'process',
      'running',
      'process-ended',
      'succeeded',
    ])
  })

  test('runs soon after it was asked for, and its end is seen at once', async () => {
    const id = await sky.launch('sleep 0.2')
    const { end_at: endAt } = await sky.until(id, 'SUCCEEDED')
    const at = Object.fromEntries((await sky.ledger()).map((row) => [row.effect, row.at]))
    expect(at['running']! - at['submitted']!).toBeLessThan(1.5)
    expect(at['succeeded']! - endAt!).toBeLessThan(1)
  })

  test.each([
    ['exit 3', {}, 'FAILED', /^Job exited with exit code 3 \(user program failure\)/],
    [
      'echo never',
      { setup: 'exit 9' },
      'FAILED_SETUP',
      /^Job failed \(FAILED_SETUP\) \(user program failure\)/,
    ],
    ['kill -9 $$', {}, 'FAILED', /exit code 137/],
  ])('%s %o: %s', async (run, more, status, reason) => {
    const id = await sky.launch(run, more)
    expect((await sky.until(id, status)).failure_reason).toMatch(reason)
    expect(await sky.logs(id)).not.toContain('never')
  })

  test('gets nothing of our own environment but what it needs, and no more of a terminal', async () => {
    process.env['SECRET_OF_THE_SERVER'] = 'leaked'
    const id = await sky.launch('env; readlink /proc/self/fd/0', { secrets: { MINE: 's3' } })
    const log = await sky.logs(id)
    expect(log).not.toContain('leaked')
    expect(log).toContain('MINE=s3')
    expect(log).toContain('/dev/null')
    expect(log).toContain(`SKYPILOT_TASK_ID=sky-managed-`)
  })

  test('of two nodes: both run, with ranks', async () => {
    const id = await sky.launch('echo "rank $SKYPILOT_NODE_RANK of $SKYPILOT_NUM_NODES"', { num_nodes: 2 })
    const log = await sky.logs(id)
    expect(log).toMatch(/^\(head, rank=0, pid=\d+\) rank 0 of 2$/m)
    expect(log).toMatch(/^\(worker1, rank=1, pid=\d+, ip=127\.0\.0\.1\) rank 1 of 2$/m)
  })

  test('of two nodes: when one fails the other ends', async () => {
    const id = await sky.launch('[ $SKYPILOT_NODE_RANK = 1 ] && exit 4; sleep 60', { num_nodes: 2 })
    expect((await sky.until(id, 'FAILED')).failure_reason).toContain('exit code 4')
    expect(sky.processes()).toEqual([])
  })

  test('that left processes behind has ended when they are gone', async () => {
    const id = await sky.launch('(trap "" TERM; sleep 60) & echo $! > child')
    await sky.until(id, 'SUCCEEDED')
    const child = Number(readFileSync(join(sky.home, 'jobs', '1', 'work', 'child'), 'utf8'))
    expect(isAlive(child)).toBe(false)
    expect(await sky.logs(id)).toContain('SUCCEEDED')
  })

  test('that cannot be started fails with the reason', async () => {
    const id = await sky.launch('true', { envs: { TOO_LONG: 'x'.repeat(200_000) } })
    expect((await sky.until(id, 'FAILED')).failure_reason).toMatch(/could not be started.*E2BIG/)
  })
})

describe('cancel', () => {
  test('ends the whole group, also grandchildren that do not listen', async () => {
    const id = await sky.launch(
      `trap "" TERM; sh -c 'trap "" TERM; sleep 61 & echo $! > pid; wait; sleep 62'; sleep 63`,
    )
    const pidFile = join(sky.home, 'jobs', '1', 'work', 'pid')
    await expect.poll(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '').toBe(true)
    const grandchild = Number(readFileSync(pidFile, 'utf8'))
    await sky.call('/jobs/cancel', { job_ids: [id] })
    expect((await sky.job(id)).status).toMatch(/CANCELL/)
    await sky.until(id, 'CANCELLED')
    expect(isAlive(grandchild)).toBe(false)
    expect(sky.processes()).toEqual([])
    expect(await sky.count('cancelled')).toBe(1)
  })

  test('gives time to end well', async () => {
    const id = await sky.launch('trap "echo saved; exit 0" TERM; echo up; while :; do sleep 0.02; done')
    await expect.poll(() => sky.logs(id, { follow: false })).toContain('up')
    await sky.call('/jobs/cancel', { name: 'job' })
    await sky.until(id, 'CANCELLED')
    expect(await sky.logs(id)).toMatch(/saved[^]*status: CANCELLED/)
  })

  test('always says yes, and only says in its log what came of it', async () => {
    const first = await sky.launch('sleep 60')
    await sky.launch('sleep 60')
    const { headers } = await sky.post('/jobs/cancel', { job_ids: [first, 99] })
    const request = headers.get('x-skypilot-request-id')!
    expect(await sky.payload(request)).toMatchObject({ status: 'SUCCEEDED', return_value: 'null' })
    const said = await (await sky.get(`/api/stream?request_id=${request}`)).text()
    expect(said).toBe('Job 99 not found. Skipped.\nJob with ID 1 is scheduled to be cancelled.\n')
    await sky.until(first, 'CANCELLED')
  })

  test('needs exactly one selection, and does nothing for a name that several have', async () => {
    await expect(sky.call('/jobs/cancel', {})).rejects.toThrow('ValueError')
    await expect(sky.call('/jobs/cancel', { all: true, job_ids: [1] })).rejects.toThrow('ValueError')
    await sky.launch('sleep 60')
    await sky.launch('sleep 60')
    await sky.call('/jobs/cancel', { name: 'job' })
    expect(await sky.count('cancel-asked')).toBe(0)
  })

  test('of a job just asked for never leaves a process', async () => {
    const ids = await Promise.all(Array.from({ length: 6 }, () => sky.launch('sleep 60')))
    await sky.call('/jobs/cancel', { job_ids: ids })
    for (const id of ids) await sky.until(id, 'CANCELLED')
    expect(sky.processes()).toEqual([])
  })
})

describe('the queue', () => {
  test('starts jobs in order as slots become free', async () => {
    await sky.stop()
    sky.options.slots = 1
    await sky.start()
    const [first, second, third] = [
      await sky.launch('sleep 0.3'),
      await sky.launch('true'),
      await sky.launch('true'),
    ]
    await sky.until(first, 'RUNNING')
    expect(await sky.job(second)).toMatchObject({ status: 'PENDING', schedule_state: 'WAITING' })
    await sky.until(third, 'SUCCEEDED')
    const order = (await sky.ledger()).filter(({ effect }) => effect === 'starting')
    expect(order.map(({ job_id: id }) => id)).toEqual([first, second, third])
  })

  test('filters, pages and trims', async () => {
    const done = await sky.launch('true', {}, 'exp-a')
    await sky.until(done, 'SUCCEEDED')
    const live = await sky.launch('sleep 60', {}, 'exp-b')
    await sky.until(live, 'RUNNING')
    const ids = async (body: Record<string, unknown>) =>
      (await sky.queue(body)).jobs.map(({ job_id: id }) => id)
    expect(await ids({})).toEqual([live, done])
    expect(await ids({ skip_finished: true })).toEqual([live])
    expect(await ids({ name_match: 'xp-a' })).toEqual([done])
    expect(await ids({ name_match: 'exp_b' })).toEqual([live])
    expect(await ids({ statuses: ['SUCCEEDED'] })).toEqual([done])
    expect(await ids({ page: 2, limit: 1 })).toEqual([done])
    expect(await ids({ submitted_after: Date.now() / 1_000 + 60 })).toEqual([])
    expect(await ids({ all_users: false, env_vars: { SKYPILOT_USER_ID: 'x', SKYPILOT_USER: 'y' } })).toEqual(
      [],
    )
    const trimmed = await sky.queue({ fields: ['job_name'], name_match: 'exp-a' })
    expect(trimmed).toEqual({
      jobs: [{ job_id: done, task_id: 0, status: 'SUCCEEDED', job_name: 'exp-a' }],
      total: 1,
      total_no_filter: 2,
      status_counts: { SUCCEEDED: 1 },
      infra_options: ['local/this-machine'],
    })
  })
})

describe('a restart', () => {
  test('leaves a running job alone, and its end is seen', async () => {
    const id = await sky.launch('echo before; while [ ! -e go ]; do sleep 0.05; done; echo after; exit 5')
    await sky.until(id, 'RUNNING')
    await sky.stop()
    expect(sky.processes().length).toBeGreaterThan(0)
    await sky.start()
    expect((await sky.job(id)).status).toBe('RUNNING')
    writeFileSync(join(sky.home, 'jobs', '1', 'work', 'go'), '')
    expect((await sky.until(id, 'FAILED')).failure_reason).toContain('exit code 5')
    expect(await sky.logs(id)).toMatch(/before[^]*after/)
    expect(await sky.count('process')).toBe(1)
  })

  test('learns how a job ended meanwhile, and when', async () => {
    const id = await sky.launch('sleep 0.3; exit 6')
    await sky.until(id, 'RUNNING')
    await sky.stop()
    await expect.poll(() => sky.processes()).toEqual([])
    await new Promise((resolve) => setTimeout(resolve, 300))
    const startedAt = Date.now() / 1_000
    await sky.start()
    const job = await sky.until(id, 'FAILED')
    expect(job.failure_reason).toContain('exit code 6')
    expect(job.end_at).toBeLessThan(startedAt - 0.2)
  })

  test('a job that was killed with its wrapper is told as such', async () => {
    const id = await sky.launch('sleep 60')
    await sky.until(id, 'RUNNING')
    await sky.stop()
    for (const pid of sky.processes()) process.kill(pid, 'SIGKILL')
    await sky.start()
    expect((await sky.until(id, 'FAILED')).failure_reason).toContain('left no exit code')
  })

  test('can cancel a job that it did not start', async () => {
    const id = await sky.launch('sleep 60')
    await sky.until(id, 'RUNNING')
    await sky.stop()
    await sky.start()
    await sky.call('/jobs/cancel', { all_users: true })
    await sky.until(id, 'CANCELLED')
    expect(sky.processes()).toEqual([])
  })

  test('a number that is used again is not taken for the job', async () => {
    const id = await sky.launch('sleep 60')
    await sky.until(id, 'RUNNING')
    await sky.stop()
    for (const pid of sky.processes()) process.kill(pid, 'SIGKILL')
    const claim = join(sky.home, 'jobs', '1', 'node-0', 'claim')
    const [, boot, stat] = readFileSync(claim, 'utf8').split('\n')
    writeFileSync(claim, `${process.pid}\n${boot}\n${stat}\n`)
    await sky.start()
    expect((await sky.until(id, 'FAILED')).failure_reason).toContain('left no exit code')
  })

  test('starts what was written down but not begun, once', async () => {
    await sky.stop()
    sky.options.slots = 1
    await sky.start()
    const blocker = await sky.launch('sleep 60')
    const id = await sky.launch('echo once >> ran')
    await sky.stop()
    // As if the server had been killed after the row and before the process.
    const database = new DatabaseSync(join(sky.home, 'skypilot.db'))
    database.exec(`update job set status = 'STARTING', schedule_state = 'LAUNCHING' where job_id = ${id}`)
    database.close()
    await sky.start()
    await sky.until(id, 'SUCCEEDED')
    expect(readFileSync(join(sky.home, 'jobs', String(id), 'work', 'ran'), 'utf8')).toBe('once\n')
    expect((await sky.job(blocker)).status).toBe('RUNNING')
  })

  test('of ten processes of one node only one runs the command', async () => {
    const folder = join(sky.home, 'jobs', '77', 'node-0')
    const spec = { folder, setup: null, run: 'echo ran >> ran', env: { PATH: process.env['PATH'] ?? '' } }
    await Promise.all(
      Array.from({ length: 10 }, () => new Promise<void>((resolve) => startNode(spec, () => resolve()))),
    )
    expect(readFileSync(join(folder, '..', 'work', 'ran'), 'utf8')).toBe('ran\n')
  })

  test('does not take files of an earlier life for those of a new job', async () => {
    const folder = join(sky.home, 'jobs', '1', 'node-0')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'claim'), '')
    writeFileSync(join(folder, 'exit'), 'run 9\n')
    await sky.until(await sky.launch('true'), 'SUCCEEDED')
  })

  test('forgets requests, as the real one does', async () => {
    const { headers } = await sky.post('/status')
    const id = headers.get('x-skypilot-request-id')
    expect((await sky.get(`/api/get?request_id=${id}`)).status).toBe(200)
    await sky.stop()
    await sky.start()
    expect((await sky.get(`/api/get?request_id=${id}`)).status).toBe(404)
    expect(await (await sky.get('/api/status?all_status=true')).json()).toEqual([])
  })

  test('is refused while another server has the folder', async () => {
    await expect(startLocalSkyPilot({ home: sky.home, port: 0 })).rejects.toThrow('another server')
  })
})

describe('the process', () => {
  const MAIN = new URL('../../local/skypilot/main.ts', import.meta.url).pathname

  test('says where it serves, ends well, and leaves the jobs', async () => {
    await sky.stop()
    const args = ['--home', sky.home, '--port', '0', '--slots', '2']
    const main = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args])
    const [line] = (await once(main.stdout, 'data')) as [Buffer]
    const { ready, url } = JSON.parse(line.toString()) as { ready: boolean; url: string }
    expect(ready).toBe(true)
    const task = JSON.stringify({ run: 'sleep 60' })
    await fetch(`${url}/jobs/launch`, { method: 'POST', body: JSON.stringify({ task, name: 'left' }) })
    await expect.poll(() => sky.processes().length).toBeGreaterThan(1)
    main.kill('SIGTERM')
    expect((await once(main, 'exit'))[0]).toBe(0)
    await sky.start()
    await sky.until(1, 'RUNNING')
  })
})
