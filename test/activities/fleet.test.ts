import { type Client, WorkflowNotFoundError } from '@temporalio/client'
import { MockActivityEnvironment } from '@temporalio/testing'
import { DefaultLogger } from '@temporalio/worker'
import type { Pool } from 'pg'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { watchFleet } from '../../activities/fleet.ts'
import type { SkyPilot } from '../../skypilot/client.ts'
import { SkyPilotError } from '../../skypilot/errors.ts'

const T = Date.now()
const LONG_MS = 600_000

const job = (jobId: number, jobName = `exp-${jobId}.1.1`) => ({
  jobId,
  taskId: 0,
  jobName,
  status: 'RUNNING',
  scheduleState: 'ALIVE',
  recoveryCount: 0,
  submittedAtMs: T,
  startAtMs: T,
  endAtMs: null,
  failureReason: null,
  details: null,
})

/** A look-out in Temporal's surroundings, with all else as the test has it. */
class Watch {
  jobs: Array<ReturnType<typeof job>> = []
  /** What is asked of SkyPilot waits for this, and fails with it. */
  asking: Promise<unknown> = Promise.resolve()
  looks = 0
  /** Each experiment that was signalled, in order. */
  readonly told: number[] = []
  tell: (experimentId: number) => Promise<void> = () => Promise.resolve()
  /** When the tables know of a look last; null: none. */
  triedAt: Date | null = null
  readonly written: string[] = []
  readonly logged: string[] = []
  askForLook = (): void => undefined
  heartbeats = 0
  #env: MockActivityEnvironment | undefined
  #over: Promise<unknown> | undefined

  start(over: { pollIntervalMs?: number; reconcileIntervalMs?: number; notedAtMs?: number } = {}): void {
    const { pollIntervalMs = 20, reconcileIntervalMs = LONG_MS, notedAtMs } = over
    const heartbeatDetails = notedAtMs === undefined ? undefined : { atMs: notedAtMs, isLost: false }
    const env = new MockActivityEnvironment({ heartbeatDetails }, { logger: new DefaultLogger('ERROR') })
    this.#env = env
    env.on('heartbeat', () => (this.heartbeats += 1))
    const deps = {
      skypilot: this.#skypilot(),
      db: { query: (sql: string, values?: unknown[]) => this.#query(sql, values) } as unknown as Pool,
      temporal: this.#temporal(),
      clock: { nowMs: () => Date.now(), learn: () => undefined },
      pollIntervalMs,
      reconcileIntervalMs,
      onLookAsked: (look: () => void) => {
        this.askForLook = look
        return () => undefined
      },
      log: (message: string) => void this.logged.push(message),
    }
    this.#over = env.run(() => watchFleet(deps)).catch(() => undefined)
  }

  async stop(): Promise<void> {
    this.#env?.cancel()
    await this.#over
  }

  #skypilot(): SkyPilot {
    const queue = async () => {
      this.looks += 1
      await this.asking
      return { jobs: this.jobs, unreadable: 0 }
    }
    const status = async () => {
      await this.asking
      return { clusters: [], unreadable: 0 }
    }
    return { jobs: { queue }, clusters: { status } } as unknown as SkyPilot
  }

  #temporal(): Client {
    const signal = async (id: string): Promise<void> => {
      const experimentId = Number(id.replace('experiment-', ''))
      this.told.push(experimentId)
      await this.tell(experimentId)
    }
    const getHandle = (id: string) => ({
      signal: () => signal(id),
      describe: () => Promise.resolve({ raw: {} }),
    })
    const withDeadline = (_atMs: number, work: () => unknown) => work()
    return { workflow: { getHandle }, withDeadline } as unknown as Client
  }

  #query(sql: string, values: unknown[] = []): Promise<{ rows: unknown[] }> {
    const before = this.triedAt
    if (sql.includes('into orphan')) this.written.push(String(values[1]))
    if (sql.includes('insert into source')) this.triedAt = values[1] as Date
    return Promise.resolve({ rows: sql.includes('source') && before ? [{ triedAtMs: before }] : [] })
  }
}

let watch = new Watch()
afterEach(async () => {
  vi.restoreAllMocks()
  await watch.stop()
  watch = new Watch()
})

const away = () => new SkyPilotError('unreachable', 'connection refused')
const settled = (looks: number) => expect.poll(() => watch.looks).toBeGreaterThanOrEqual(looks)

describe('a wish for a look', () => {
  test('that comes during one is for the next, which is at once', async () => {
    const slow = Promise.withResolvers<void>()
    watch.asking = slow.promise
    watch.start({ pollIntervalMs: LONG_MS })
    await settled(1)
    watch.askForLook()
    slow.resolve()
    await settled(2)
  })
})

describe('the telling', () => {
  test('of many that are slow to be told is progress: the look-out is alive all the while', async () => {
    let skippedMs = 0
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + skippedMs)
    watch.jobs = Array.from({ length: 60 }, (_, index) => job(index + 1))
    const last = Promise.withResolvers<void>()
    watch.tell = async (experimentId) => {
      skippedMs += 10_000
      if (experimentId === 60) await last.promise
    }
    watch.start()
    await expect.poll(() => watch.told.length).toBe(60)
    const before = watch.heartbeats
    await expect.poll(() => watch.heartbeats, { timeout: 10_000 }).toBeGreaterThan(before)
    last.resolve()
  })

  test('of what nobody is there to hear is repeated at an audit, and not at every look', async () => {
    watch.jobs = [job(7)]
    watch.tell = () =>
      Promise.reject(new WorkflowNotFoundError('no such workflow', 'experiment-7', undefined))
    watch.start()
    await settled(5)
    expect(watch.told).toEqual([7])
    await watch.stop()
    watch.start({ reconcileIntervalMs: 0 })
    await expect.poll(() => watch.told.length).toBeGreaterThan(4)
  })

  test('begins anew when SkyPilot comes back: somebody may have said meanwhile that a job is over', async () => {
    watch.jobs = [job(7)]
    watch.start()
    await settled(3)
    expect(watch.told).toEqual([7])
    const refusal = Promise.reject(away())
    refusal.catch(() => undefined)
    watch.asking = refusal
    const before = watch.looks
    await settled(before + 3)
    expect(watch.told).toEqual([7])
    watch.asking = Promise.resolve()
    await expect.poll(() => watch.told).toEqual([7, 7])
    await settled(watch.looks + 3)
    expect(watch.told).toEqual([7, 7])
  })
})

describe('what belongs to nobody', () => {
  const noted = () => watch.written.join(' ')

  test('is written down at an audit', async () => {
    watch.triedAt = new Date(T)
    watch.jobs = [job(7, 'a-stray')]
    watch.start({ notedAtMs: T })
    await expect.poll(noted).toContain('a-stray')
  })

  test('row 54: is not concluded from tables that were put back, and may lack whom it belongs to', async () => {
    watch.triedAt = new Date(T - 60_000)
    watch.jobs = [job(7)]
    watch.start({ notedAtMs: T, reconcileIntervalMs: 0 })
    await settled(4)
    expect(watch.logged.filter((text) => text.startsWith('the tables were put back'))).toHaveLength(1)
    expect(watch.written).toEqual([])
  })
})
