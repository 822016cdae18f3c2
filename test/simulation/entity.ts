import { isDeepStrictEqual } from 'node:util'
import { accept, type Wish } from '../../core/accept.ts'
import type { Action } from '../../core/action.ts'
import { retold } from '../../core/advance.ts'
import { decide } from '../../core/decide.ts'
import { evolve } from '../../core/evolve.ts'
import type { Experiment } from '../../core/experiment.ts'
import { wakeAtMs } from '../../core/explain.ts'
import type { Fact } from '../../core/facts.ts'
import { isFact } from '../../core/guards.ts'
import { refuse } from '../../core/receipt.ts'
import { snapshotOf } from '../../core/snapshot.ts'
import { upgrade } from '../../core/upgrade.ts'
import { type Context, instantly } from './context.ts'
import { amputated, weakened } from './mutants.ts'
import { isOutdated, type Step } from '../../core/action.ts'
import type { Performer } from './performer.ts'
import type { Tables } from './tables.ts'
import type { Handle, Temporal } from './temporal.ts'

export type Message = { wish: Wish } | { facts: unknown }

/** Small, so that a run is left and begun again many times a day. */
const HISTORY_EVENTS_MAX = 60
/** I18: so many actions in a minute are a hot loop. */
const ACTIONS_PER_MINUTE_MAX = 120
const CONCLUSIONS_MAX = 10
/** For a run that is left without waiting for its handlers: what comes meanwhile is lost. */
const DEAF_MS = 2_000

/** One experiment's workflow: the shell of `workflows/experiment.ts` over the core, in virtual time. */
export class Entity {
  isClosed = false
  sentWishes = 0
  takenWishes = 0
  state: Experiment
  readonly #context: Context
  readonly #temporal: Temporal
  readonly #tables: Tables
  readonly #performer: Performer
  readonly #mailbox: Message[] = []
  #under: { action: Step; handle: Handle } | null = null
  #isProjecting = false
  #run = 1
  #history = 0
  #isTaskPlanned = false
  #alarm = 0
  #deafUntilMs = 0
  #minute = { sinceMs: 0, actions: 0 }

  constructor(
    state: Experiment,
    parts: { context: Context; temporal: Temporal; tables: Tables; performer: Performer },
  ) {
    this.#context = parts.context
    this.#temporal = parts.temporal
    this.#tables = parts.tables
    this.#performer = parts.performer
    this.state = retold(state, this.#now)
    this.#planTask()
  }

  get #now(): number {
    return this.#context.engine.nowMs
  }

  /** A message that the server has taken: it is never lost, and comes in the order of sending. */
  send(message: Message): void {
    if (this.isClosed) return
    if ('wish' in message) this.sentWishes += 1
    if (this.#now < this.#deafUntilMs) return
    this.#mailbox.push(message)
    this.#planTask()
  }

  get isIdle(): boolean {
    return this.#mailbox.length === 0 && !this.#isTaskPlanned
  }

  #planTask(delayMs = this.#context.random.int(2, 40)): void {
    if (this.#isTaskPlanned) return
    this.#isTaskPlanned = true
    this.#context.engine.after(delayMs, () => {
      this.#isTaskPlanned = false
      if (this.#temporal.isServing) this.#task()
      else this.#planTask(500)
    })
  }

  #task(): void {
    if (this.isClosed) return
    this.#history += 3
    try {
      for (const message of this.#mailbox.splice(0)) this.#take(message)
      this.#loop()
    } catch (error) {
      this.#context.violated(
        'I11',
        `a workflow task failed: ${error instanceof Error ? error.stack : String(error)}`,
      )
    }
    this.#context.touched(this.state.name)
  }

  #take(message: Message): void {
    this.#history += 1
    if ('wish' in message) this.#takeWish(message.wish)
    else if (this.#isReadable(message.facts)) this.learn(message.facts)
    else this.state = refuse(this.state, 'an observation that cannot be read')[0]
  }

  #isReadable(facts: unknown): facts is Fact[] {
    if (!this.#context.protections.messageGuards) return Array.isArray(facts)
    return Array.isArray(facts) && facts.every(isFact)
  }

  #takeWish(wish: Wish): void {
    const before = this.state.desired.generation
    const [next, receipt] = accept(this.state, wish, this.#now)
    const { generation } = next.desired
    if (generation !== before && generation !== before + 1)
      this.#context.violated('I3', `generation of ${this.state.name} went from ${before} to ${generation}`)
    if (!receipt.accepted && generation !== before)
      this.#context.violated('I3', `a refused wish changed the generation of ${this.state.name}`)
    this.state = retold(next, this.#now)
    this.takenWishes += 1
    this.#context.engine.trace(
      `${this.state.name} ${wish.kind} ${JSON.stringify(wish.value)} ${receipt.accepted}`,
    )
  }

  learn(facts: readonly Fact[]): void {
    for (const fact of facts) {
      this.#context.engine.trace(`${this.state.name} learns ${JSON.stringify(fact)}`)
      this.state = weakened(this.#context, evolve)(this.state, fact)
    }
    this.state = retold(this.state, this.#now)
  }

  #loop(): void {
    this.#project()
    if (this.#under) {
      this.#cancelIfOutdated(this.#under)
      return
    }
    for (let turn = 0; turn < CONCLUSIONS_MAX; turn += 1) {
      if (this.#history > HISTORY_EVENTS_MAX) this.#continueAsNew()
      const action = decide(this.state, this.#now)
      this.#setAlarm(action)
      if (action.kind === 'wait') return
      if (action.kind === 'finish') {
        if (this.state.projected >= this.state.revision) this.isClosed = true
        return
      }
      if (action.kind !== 'conclude') return this.#begin(action)
      this.learn([{ kind: 'concluded', conclusion: action.conclusion, reason: action.why, atMs: this.#now }])
      this.#project()
    }
    this.#context.violated('I18', `${this.state.name} concludes without end`)
  }

  #begin(action: Step): void {
    this.#countTurn(`does ${action.kind} in a hot loop: ${action.why}`)
    if (action.kind === 'launch') {
      if (this.state.desired.state !== 'RUNNING')
        this.#context.violated(
          'I2',
          `${this.state.name} intends a launch while ${this.state.desired.state} is wanted`,
        )
      this.learn([{ kind: 'launchIntended', atMs: this.#now }])
      this.#setAlarm(action)
      this.#project()
    }
    this.#history += 3
    this.#context.engine.trace(`${this.state.name} begins ${action.kind}: ${action.why}`)
    const handle = this.#performer.perform(this.state, action, (facts) => {
      this.#under = null
      this.learn(facts)
      this.#planTask()
    })
    this.#under = { action, handle }
  }

  #countTurn(text: string): void {
    if (this.#now - this.#minute.sinceMs > 60_000) this.#minute = { sinceMs: this.#now, actions: 0 }
    this.#minute.actions += 1
    if (this.#minute.actions > ACTIONS_PER_MINUTE_MAX)
      this.#context.violated('I18', `${this.state.name} ${text}`)
  }

  #cancelIfOutdated({ action, handle }: { action: Step; handle: Handle }): void {
    const now = decide(this.state, this.#now)
    this.#setAlarm(now)
    if (isOutdated(action, now)) handle.cancel()
  }

  #setAlarm(action: Action): void {
    const atMs = wakeAtMs(this.state, action, this.#now)
    this.#alarm += 1
    if (atMs === null) return
    const alarm = this.#alarm
    this.#context.engine.at(Math.max(atMs, this.#now + 1), () => {
      if (alarm !== this.#alarm || this.isClosed) return
      this.#countTurn(`wakes up for ${action.kind}: ${action.why}`)
      this.state = retold(this.state, this.#now)
      this.#planTask(0)
    })
  }

  /** The state goes on as JSON, and nothing beside it. What was sent meanwhile waits for the next run. */
  #continueAsNew(): void {
    const carried: unknown = JSON.parse(JSON.stringify(this.state))
    if (!isDeepStrictEqual(carried, this.state))
      this.#context.violated('I10', `the state of ${this.state.name} does not survive JSON`)
    const next = upgrade(this.#context.protections.stateCarriedWhole ? carried : amputated(carried))
    if (!next) throw new Error('the state cannot be read')
    if (!this.#context.protections.messagesDrained) this.#deafUntilMs = this.#now + DEAF_MS
    this.#run += 1
    this.#history = 1
    this.#isProjecting = false
    this.state = retold(next, this.#now)
    this.#project()
  }

  #project(): void {
    if (this.#isProjecting || this.state.projected >= this.state.revision) return
    this.#isProjecting = true
    const run = this.#run
    const snapshot = snapshotOf(this.state, this.#now)
    const lastSeq = snapshot.events.at(-1)?.seq ?? 0
    const write = (): void => this.#tables.write(snapshot)
    this.#temporal.execute(
      () =>
        instantly(() => {
          if (!this.#tables.isUp) throw new Error('the database is away')
          const { random, faults, engine } = this.#context
          if (random.chance(faults.projectionAgain)) engine.after(random.int(10, 60_000), write)
          write()
        }),
      { maximumAttempts: 0, isFinal: () => false },
      () => {
        if (run !== this.#run) return
        this.#isProjecting = false
        this.state = evolve(this.state, { kind: 'projected', revision: snapshot.revision, lastSeq })
        this.#planTask()
      },
    )
  }
}
