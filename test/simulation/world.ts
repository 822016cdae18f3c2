import { parseClusterName, parseJobName } from '../../core/build-task.ts'
import { born } from '../../core/experiment.ts'
import { Activities } from './activities.ts'
import { type Context, Ledger } from './context.ts'
import { Engine } from './engine.ts'
import { Entity } from './entity.ts'
import { ALL_PROTECTIONS, type Faults, healed, type Protections, swarm } from './faults.ts'
import { Invariants } from './invariants.ts'
import { Observer } from './observer.ts'
import { anyWish, garbageFacts, garbageWish } from './people.ts'
import { Performer } from './performer.ts'
import { Random } from './random.ts'
import { SkyPilot } from './skypilot.ts'
import { Tables } from './tables.ts'
import { Temporal } from './temporal.ts'

export interface Plan {
  seed: number
  experiments: number
  hours: number
  /** Mean time between two wishes for one experiment. */
  wishMeanMs: number
  lookEveryMs: number
  protections?: Partial<Protections>
  faults?: Partial<Faults>
}

export interface Report {
  fingerprint: string
  events: number
  violations: string[]
  recent: string[]
  posts: number
  jobs: number
  /** Second jobs of one attempt that the fence sent away. */
  fenced: number
  overlaps: number[]
  faults: Faults
}

const HEAL_MS = 3 * 3_600_000
const VIOLATIONS_MAX = 5

class Enough extends Error {}

/** A whole SkyDeck on a whole SkyPilot in virtual time: `run` lets it live, heals it, and says what was broken. */
export class World {
  readonly #plan: Plan
  readonly #engine = new Engine()
  readonly #random: Random
  readonly #context: Context
  readonly #temporal: Temporal
  readonly #tables: Tables
  readonly #sky: SkyPilot
  readonly #invariants: Invariants
  readonly #entities = new Map<number, Entity>()
  readonly #touched = new Set<number>()
  readonly #violations: string[] = []
  readonly #lies = { lastMs: 0 }
  #healthyMs = 0
  #healthySinceMs: number
  #faults: Faults
  #isHealed = false

  constructor(plan: Plan) {
    this.#plan = plan
    this.#random = new Random(plan.seed)
    this.#faults = { ...swarm(this.#random), ...plan.faults }
    this.#context = {
      engine: this.#engine,
      random: this.#random,
      faults: this.#faults,
      protections: { ...ALL_PROTECTIONS, ...plan.protections },
      ledger: new Ledger(),
      touched: (name) => this.#touch(name),
      violated: (invariant, text) => this.#violated(invariant, text),
    }
    this.#temporal = new Temporal(this.#context)
    this.#tables = new Tables(this.#context)
    this.#sky = new SkyPilot(this.#context)
    this.#invariants = new Invariants(this.#context, this.#sky, this.#tables)
    this.#healthySinceMs = this.#engine.nowMs
    this.#engine.afterEvent = () => this.#check()
    this.#populate()
    this.#observe()
    this.#disturb()
  }

  run(): Report {
    const endMs = this.#engine.nowMs + this.#plan.hours * 3_600_000
    try {
      this.#engine.runUntil(endMs)
      this.#heal()
      this.#engine.runUntil(endMs + HEAL_MS)
      this.#invariants.atTheEnd()
    } catch (error) {
      if (!(error instanceof Enough)) throw error
    }
    const { ledger } = this.#context
    return {
      fingerprint: this.#engine.fingerprint(),
      events: this.#engine.events,
      violations: this.#violations,
      recent: this.#engine.recent,
      posts: ledger.counts.post,
      jobs: ledger.counts.job,
      fenced: ledger.counts.fenced,
      overlaps: this.#invariants.overlaps,
      faults: this.#faults,
    }
  }

  #violated(invariant: string, text: string): void {
    this.#violations.push(`${invariant}: ${text}`)
    this.#engine.trace(`VIOLATION ${invariant}: ${text}`)
    if (this.#violations.length >= VIOLATIONS_MAX) throw new Enough()
  }

  #touch(name: string): void {
    const id = parseJobName(name)?.experimentId ?? parseClusterName(name)?.experimentId ?? idOf(name)
    if (id !== undefined) this.#touched.add(id)
  }

  #check(): void {
    const { nowMs } = this.#engine
    if (this.#sky.isUp && this.#temporal.isServing) this.#healthyMs += nowMs - this.#healthySinceMs
    this.#healthySinceMs = nowMs
    for (const id of this.#touched) this.#invariants.check(id, this.#healthyMs)
    this.#touched.clear()
  }

  #populate(): void {
    for (let id = 1; id <= this.#plan.experiments; id += 1) {
      const state = born({
        id,
        name: nameOf(id),
        actor: this.#random.pick(['ann', 'bob', 'cy']),
        atMs: this.#engine.nowMs,
        spec: {
          executor: this.#random.chance(0.5) ? 'managed' : 'cluster',
          command: { form: 'template', template: 'python train.py {flags}', flagStyle: 'key=value' },
          flags: {},
          nodes: 1,
          gpus: 0,
          accelerator: null,
          cloud: null,
          instanceType: null,
          spot: false,
          setup: null,
          envs: {},
        },
      })
      const activities = new Activities(this.#context, this.#sky)
      const performer = new Performer(this.#context, this.#temporal, activities)
      const entity = new Entity(state, {
        context: this.#context,
        temporal: this.#temporal,
        tables: this.#tables,
        performer,
      })
      activities.onPost = (order, attempt) => this.#invariants.post({ entity, order, attempt })
      activities.onCancel = (job) => this.#invariants.ending(id, job)
      activities.onChange = (clusterName) => this.#invariants.changing(id, clusterName)
      this.#entities.set(id, entity)
      this.#invariants.watch(entity)
      this.#every(this.#plan.wishMeanMs, () => this.#wishes(entity))
    }
  }

  /** Mostly one, sometimes many in a row, as of a person who cannot make up their mind. */
  #wishes(entity: Entity): void {
    const count = this.#random.chance(0.1) ? this.#random.int(2, 20) : 1
    for (let index = 0; index < count; index += 1)
      this.#engine.after(this.#random.int(0, 5_000) * (count > 1 ? 1 : 0), () =>
        entity.send({ wish: anyWish(this.#random) }),
      )
  }

  #observe(): void {
    const observer = new Observer({
      context: this.#context,
      sky: this.#sky,
      tables: this.#tables,
      intervalMs: this.#plan.lookEveryMs,
      lies: this.#lies,
      tell: (id, facts) => this.#entities.get(id)?.send({ facts }),
      ownerOf: idOf,
    })
    this.#temporal.execute(
      () => observer.watch(),
      { maximumAttempts: 0, isFinal: () => false },
      () => this.#observe(),
    )
  }

  /** Calls again and again, at random times, until the world is healed. */
  #every(meanMs: number, work: () => void): void {
    if (meanMs <= 0) return
    this.#engine.after(this.#random.waitMs(meanMs), () => {
      if (this.#isHealed) return
      work()
      this.#every(meanMs, work)
    })
  }

  #disturb(): void {
    const { random } = this.#context
    const faults = this.#faults
    const entity = (): Entity => random.pick([...this.#entities.values()])
    this.#every(faults.serverKillMeanMs, () =>
      this.#serverAway(() => this.#sky.kill(), random.int(2_000, 20_000)),
    )
    this.#every(faults.serverAwayMeanMs, () =>
      this.#serverAway(
        () => {
          this.#sky.isUp = false
        },
        random.int(10_000, 600_000),
      ),
    )
    this.#every(faults.workerCrashMeanMs, () =>
      this.#temporal.crash(random.int(0, 1), random.int(1_000, 120_000)),
    )
    this.#every(faults.workerFreezeMeanMs, () =>
      this.#temporal.freeze(random.int(0, 1), random.int(1_000, 90_000)),
    )
    this.#every(faults.databaseAwayMeanMs, () => {
      this.#tables.isUp = false
      this.#engine.after(random.int(5_000, 600_000), () => {
        this.#tables.isUp = true
      })
    })
    this.#every(faults.outsideCancelMeanMs, () => this.#cancelByHand())
    this.#every(faults.outsideDownMeanMs, () => this.#downByHand())
    this.#every(faults.foreignJobMeanMs, () => {
      const name = entity().state.name
      this.#sky.addJob(random.chance(0.7) ? name : `unrelated-${random.int(1, 9)}`, true)
    })
    this.#every(faults.garbageMeanMs, () => {
      const victim = entity()
      if (random.chance(0.5)) victim.send({ wish: garbageWish(random) })
      else victim.send({ facts: garbageFacts(random, victim.state, this.#context) })
    })
    this.#engine.after(60_000, () => this.#sweep())
  }

  #sweep(): void {
    this.#invariants.sweep(this.#healthyMs)
    this.#engine.after(60_000, () => this.#sweep())
  }

  #serverAway(begin: () => void, forMs: number): void {
    if (!this.#sky.isUp) return
    begin()
    this.#engine.after(forMs, () => {
      this.#sky.isUp = true
    })
  }

  #cancelByHand(): void {
    const jobs = [...this.#sky.jobs.values()].slice(-50)
    if (jobs.length === 0) return
    const job = this.#random.pick(jobs)
    this.#engine.trace(`somebody cancels ${job.name} ${job.jobId}`)
    this.#sky.lives.cancel(job, false)
  }

  #downByHand(): void {
    const names = [...this.#sky.clusters.byName.keys()]
    if (names.length === 0) return
    const name = this.#random.pick(names)
    this.#engine.trace(`somebody takes ${name} down`)
    this.#sky.clusters.remove(name)
  }

  /** Everything works again, and nobody wants anything new. */
  #heal(): void {
    this.#isHealed = true
    this.#context.faults = healed()
    this.#sky.isUp = true
    this.#tables.isUp = true
    this.#engine.trace('healed')
    for (const entity of this.#entities.values()) entity.send({ wish: { kind: 'release', value: {} } })
  }
}

const nameOf = (id: number): string => `exp${id}`

function idOf(name: string): number | undefined {
  const match = /^exp(\d+)$/.exec(name)
  return match ? Number(match[1]) : undefined
}
