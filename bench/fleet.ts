import { setTimeout as sleep } from 'node:timers/promises'
import type { ExperimentInfo } from '../sdk/client.ts'
import { workflowIdOf } from '../workflows/definitions.ts'
import type { Counted, CountedJob } from './counting-skypilot.ts'
import { Desk } from './desk.ts'
import { create, untilAllBegan, untilIn } from './experiments.ts'
import { until } from './until.ts'

const SWEPT_WITHIN_MS = 300_000

/**
 * So many experiments run at most, and all beyond them rest: to launch ten thousand one after the other would take
 * hours, and the look-out is asked about live jobs only.
 */
export const RUNNING_MAX = 1_000

/** More requests at once do not make creating faster: then the machine is busy. */
const RESTING_AT_ONCE = 40

/** A desk full of experiments that run and change nothing, which is what a large desk is most of the time. */
export class Fleet {
  readonly desk: Desk
  readonly pollIntervalMs: number
  readonly experiments: ExperimentInfo[] = []
  readonly #say: (line: string) => void

  private constructor(desk: Desk, pollIntervalMs: number, say: (line: string) => void) {
    this.desk = desk
    this.pollIntervalMs = pollIntervalMs
    this.#say = say
  }

  static async start(pollIntervalMs: number, say: (line: string) => void): Promise<Fleet> {
    return new Fleet(await Desk.start({ pollIntervalMs, bareWorkers: 1 }), pollIntervalMs, say)
  }

  /** Creates experiments until there are `count`, and waits until those that are to run do and all is quiet. */
  async growTo(count: number): Promise<void> {
    const from = this.experiments.length
    if (count <= from) return
    const startedAtMs = performance.now()
    await this.#add(Math.min(count, RUNNING_MAX), 'RUNNING')
    await this.#add(count, 'STOPPED')
    await untilIn(this.desk, 'running', this.running)
    await untilIn(this.desk, 'idle', count - this.running)
    await untilAllBegan(this.desk)
    await this.sweeps(3)
    const tookS = (performance.now() - startedAtMs) / 1_000
    const counts = `${this.running} experiments run, ${count - this.running} rest`
    this.#say(`  ${counts}; the last ${count - from} took ${Math.round(tookS)} s`)
  }

  async #add(upTo: number, desiredState: 'RUNNING' | 'STOPPED'): Promise<void> {
    const from = this.experiments.length
    if (upTo <= from) return
    const given = { prefix: 'fleet', count: upTo - from, from, desiredState, atOnce: RESTING_AT_ONCE }
    this.experiments.push(...(await create(this.desk, given)))
  }

  /** How many of the experiments run; they are the first ones. */
  get running(): number {
    return Math.min(this.experiments.length, RUNNING_MAX)
  }

  get workflowIds(): string[] {
    return this.experiments.map(({ id }) => workflowIdOf(id))
  }

  /** The live jobs, oldest first. */
  get liveJobs(): CountedJob[] {
    return [...this.desk.skypilot.jobs.values()].filter(({ end_at: endAt }) => endAt === null)
  }

  /**
   * Waits from one listing of all jobs to the one that is `count` later, and returns what was asked of SkyPilot
   * between the two, and how long that took. Whole rounds only, so that it does not matter when one begins.
   */
  async sweeps(count: number): Promise<Counted & { tookMs: number }> {
    const { skypilot } = this.desk
    await this.#nextListing()
    const startedAtMs = performance.now()
    skypilot.readCounters()
    for (let done = 0; done < count; done += 1) await this.#nextListing()
    return { ...skypilot.readCounters(), tookMs: performance.now() - startedAtMs }
  }

  /** Measures from the middle between two listings, when all is done, to the middle that is `count` listings later. */
  async across<T>(count: number, begin: () => () => T): Promise<T> {
    await this.#nextListing()
    await sleep(this.pollIntervalMs / 2)
    const end = begin()
    for (let done = 0; done < count; done += 1) await this.#nextListing()
    await sleep(this.pollIntervalMs / 2)
    return end()
  }

  async #nextListing(): Promise<void> {
    const { skypilot } = this.desk
    const listed = Promise.withResolvers<true>()
    const before = skypilot.onListed
    skypilot.onListed = () => {
      before()
      listed.resolve(true)
    }
    const isListed = await Promise.race([listed.promise, sleep(SWEPT_WITHIN_MS, false, { ref: false })])
    skypilot.onListed = before
    if (!isListed) throw new Error('the look-out does not ask for the live jobs any more')
  }

  /** Waits until no listing is under way and the workflows have taken in what they were told. */
  async untilQuiet(): Promise<void> {
    const { desk } = this
    let last = desk.cpuMs(['worker'])
    await until(SWEPT_WITHIN_MS, 'the worker rests', async () => {
      await sleep(1_000)
      const now = desk.cpuMs(['worker'])
      const isQuiet = now - last < 100
      last = now
      return isQuiet
    })
  }
}
