import { afterEach, beforeEach, describe, expect, onTestFailed, test } from 'vitest'
import { processesWith, TestDesk } from '../support/desk.ts'

let desk: TestDesk

beforeEach(async () => {
  desk = await TestDesk.create()
  // oxlint-disable-next-line no-console -- a crash that came out wrong can seldom be repeated
  onTestFailed(async () => console.log(await desk.story()))
})
afterEach(() => desk.dispose())

const alive = (mark: string): number => processesWith(mark).length
const WAIT = { timeoutMs: 60_000 }

/** An experiment that sleeps under a mark by which it is found in the process table. */
const sleeper = async (name: string) => {
  const mark = `mark-${name}-${Date.now()}`
  const { id } = await desk.sdk.create({ name, command: `exec -a ${mark} sleep 600` })
  return { id, mark }
}

describe('a launch whose answer is lost', () => {
  test('the worker is killed between the request and its record: one job, adopted', async () => {
    await desk.faults([{ match: '/jobs/launch', kind: 'delay', delayMs: 3_000, times: 1 }])
    const { id, mark } = await sleeper('orphan')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await expect.poll(() => alive(mark), { timeout: 10_000 }).toBe(1)
    desk.kill('worker')
    const now = await desk.sdk.waitFor(id, 'running', WAIT)
    expect(now.job_id).not.toBeNull()
    expect(await desk.submitted('orphan-')).toBe(1)
    expect(alive(mark)).toBe(1)
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(alive(mark)).toBe(0)
  })

  test.each(['drop-before', 'drop-after', 'truncate', 'status'])(
    '%s: the launch is looked for before it is made again',
    async (kind) => {
      await desk.faults([{ match: '/jobs/launch', kind, times: 1 }])
      const { id, mark } = await sleeper(`lost-${kind}`)
      await desk.sdk.setDesiredState(id, 'RUNNING')
      await desk.sdk.waitFor(id, 'running', WAIT)
      expect(await desk.submitted(`lost-${kind}-`)).toBe(1)
      expect(alive(mark)).toBe(1)
    },
  )

  test('a stop during the launch leaves nothing behind', async () => {
    await desk.faults([{ match: '/jobs/launch', kind: 'hold', delayMs: 2_000 }])
    const { id, mark } = await sleeper('regretted')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await new Promise((resolve) => setTimeout(resolve, 700))
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(alive(mark)).toBe(0)
    expect(await desk.submitted('regretted-')).toBe(0)
  })
})

const LIES = [
  ['status', '/jobs/queue/v2'],
  ['drop-before', '/jobs/queue/v2'],
  ['login-page', '/'],
  ['truncate', '/api/get'],
] as const

describe('what we cannot see is not dead', () => {
  test('SkyPilot away, lying or behind a login page: nothing is stopped or started', async () => {
    const { id, mark } = await sleeper('unseen')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await desk.sdk.waitFor(id, 'running', WAIT)
    for (const [kind, match] of LIES) {
      await desk.faults([{ match, kind }])
      await expect
        .poll(async () => (await health()).skypilot.error, { timeout: 20_000, message: kind })
        .not.toBeNull()
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      expect(await desk.sdk.get(id)).toMatchObject({ phase: 'running', desired_state: 'RUNNING' })
      expect(alive(mark)).toBe(1)
      await desk.faults([])
      await expect.poll(async () => (await health()).skypilot.error, { timeout: 20_000 }).toBeNull()
    }
    expect(await desk.submitted('unseen-')).toBe(1)
  })

  test('a stop asked for while SkyPilot is away is carried out when it is back', async () => {
    const { id, mark } = await sleeper('patient')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await desk.sdk.waitFor(id, 'running', WAIT)
    await desk.faults([{ match: '/', kind: 'status', status: 503 }])
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await expect.poll(async () => (await desk.sdk.get(id)).why, { timeout: 30_000 }).toMatch(/cancel failed/)
    expect(alive(mark)).toBe(1)
    await desk.faults([])
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    expect(alive(mark)).toBe(0)
  })

  const health = async (): Promise<{ skypilot: { error: string | null } }> =>
    (await (await fetch(`${desk.url}/api/health`)).json()) as never
})

describe('whatever process dies', () => {
  test('all of them at once: wishes are kept, the running job is adopted, what ended meanwhile is told', async () => {
    const running = await sleeper('survivor')
    const short = await desk.sdk.create({ name: 'short', command: 'sleep 3; echo ended alone; exit 5' })
    const idle = await desk.sdk.create({ name: 'idle', command: 'true' })
    for (const { id } of [running, short]) {
      await desk.sdk.setDesiredState(id, 'RUNNING')
      await desk.sdk.waitFor(id, 'running', WAIT)
    }
    const before = await desk.sdk.get(running.id)
    await desk.killEverything()
    expect(alive(running.mark)).toBe(1)
    await new Promise((resolve) => setTimeout(resolve, 3_500))
    await desk.start()
    expect(await desk.sdk.get(idle.id)).toMatchObject({ desired_state: 'STOPPED', phase: 'idle' })
    expect(await desk.sdk.waitFor(short.id, 'failed', WAIT)).toMatchObject({ exit_code: 5 })
    expect(await desk.sdk.waitFor(running.id, 'running', WAIT)).toMatchObject({ job_id: before.job_id })
    expect(await desk.submitted('survivor-')).toBe(1)
    expect(alive(running.mark)).toBe(1)
    await desk.sdk.setDesiredState(running.id, 'STOPPED')
    await desk.sdk.waitFor(running.id, 'stopped', WAIT)
    expect(alive(running.mark)).toBe(0)
    expect((await desk.sdk.jobs(running.id))[0]).toMatchObject({ status: 'CANCELLED' })
  })

  test.each(['worker', 'web', 'skypilot', 'temporal', 'postgres'])(
    '%s: it comes back by itself, and the wish is carried out',
    async (name) => {
      const { id, mark } = await sleeper(`after-${name}`)
      desk.kill(name)
      await expect
        .poll(
          () =>
            desk.sdk.setDesiredState(id, 'RUNNING').then(
              ({ desired_state: state }) => state,
              () => null,
            ),
          {
            timeout: 60_000,
            interval: 250,
          },
        )
        .toBe('RUNNING')
      await desk.sdk.waitFor(id, 'running', WAIT)
      expect(alive(mark)).toBe(1)
      expect(await desk.submitted(`after-${name}-`)).toBe(1)
    },
  )
})

test('a polite end leaves no process; a second start says so; the next start finds everything again', async () => {
  const { id, mark } = await sleeper('stays')
  await desk.sdk.setDesiredState(id, 'RUNNING')
  await desk.sdk.waitFor(id, 'running', WAIT)
  const second = await desk.startAgain()
  expect(second.code).toBe(1)
  expect(second.output).toContain(desk.url)
  expect(await desk.stop()).toEqual([])
  expect(alive(mark)).toBe(1)
  await desk.start()
  expect(await desk.sdk.waitFor(id, 'running', WAIT)).toMatchObject({ desired_state: 'RUNNING' })
  expect(alive(mark)).toBe(1)
})
