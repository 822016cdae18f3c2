import { createHash } from 'node:crypto'

interface Event {
  atMs: number
  order: number
  run: () => void
}

export const BEGIN_MS = Date.UTC(2026, 0, 1)
const RECENT_MAX = 4_000

/** Virtual time and what is to happen in it. Events of one instant run in the order in which they were planned. */
export class Engine {
  nowMs = BEGIN_MS
  events = 0
  /** Called after every event; the checks live here. */
  afterEvent: () => void = () => undefined
  /** The last lines of the trace, shown when something is found. */
  readonly recent: string[] = []
  readonly #heap: Event[] = []
  readonly #hash = createHash('sha256')
  #planned = 0

  at(atMs: number, run: () => void): void {
    this.#planned += 1
    this.#push({ atMs: Math.max(atMs, this.nowMs), order: this.#planned, run })
  }

  after(delayMs: number, run: () => void): void {
    this.at(this.nowMs + delayMs, run)
  }

  /** Runs everything that is due until then, and sets the clock to it. */
  runUntil(untilMs: number): void {
    for (let next = this.#heap[0]; next && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop()
      this.nowMs = next.atMs
      this.events += 1
      next.run()
      this.afterEvent()
    }
    this.nowMs = untilMs
  }

  /** One line of what happened. All lines together make the fingerprint of a run. */
  trace(line: string): void {
    const text = `${((this.nowMs - BEGIN_MS) / 1_000).toFixed(3)} ${line}`
    this.#hash.update(`${text}\n`)
    this.recent.push(text)
    if (this.recent.length > RECENT_MAX) this.recent.splice(0, RECENT_MAX / 2)
  }

  fingerprint(): string {
    return this.#hash.copy().digest('hex')
  }

  #push(event: Event): void {
    const heap = this.#heap
    heap.push(event)
    let index = heap.length - 1
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!this.#isBefore(index, parent)) break
      this.#swap(index, parent)
      index = parent
    }
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (heap.length === 0 || last === undefined) return
    heap[0] = last
    let index = 0
    for (;;) {
      const left = index * 2 + 1
      let first = index
      if (left < heap.length && this.#isBefore(left, first)) first = left
      if (left + 1 < heap.length && this.#isBefore(left + 1, first)) first = left + 1
      if (first === index) return
      this.#swap(first, index)
      index = first
    }
  }

  #isBefore(one: number, other: number): boolean {
    const a = this.#heap[one]
    const b = this.#heap[other]
    if (!a || !b) return false
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
  }

  #swap(one: number, other: number): void {
    const a = this.#heap[one]
    const b = this.#heap[other]
    if (!a || !b) return
    this.#heap[one] = b
    this.#heap[other] = a
  }
}

/** A piece of work that takes time: each number that it yields is a pause in ms. */
export type Steps<T> = Generator<number, T, undefined>

/** Thrown into work that is to end early. */
export class Cancelled extends Error {}

export type Result<T> = { value: T } | { error: unknown }

/** Runs work in virtual time. It can be told to end, be killed without a word, or be frozen and go on much later. */
export class Process<T> {
  isOver = false
  #frozenUntilMs = 0
  #turn = 0
  readonly #engine: Engine
  readonly #steps: Steps<T>
  readonly #onEnd: (result: Result<T>) => void

  constructor(engine: Engine, steps: Steps<T>, onEnd: (result: Result<T>) => void) {
    this.#engine = engine
    this.#steps = steps
    this.#onEnd = onEnd
    this.#plan(0, () => this.#steps.next())
  }

  get isFrozen(): boolean {
    return this.#engine.nowMs < this.#frozenUntilMs
  }

  /** Tells the work to end, as soon as it hears of it. */
  cancel(afterMs: number): void {
    this.#engine.after(afterMs, () => {
      if (!this.isOver) this.#plan(0, () => this.#steps.throw(new Cancelled()))
    })
  }

  /** One that was given up hears of it some time after it goes on again, and may have done harm by then. */
  giveUp(afterMs: number): void {
    this.cancel(Math.max(0, this.#frozenUntilMs - this.#engine.nowMs) + afterMs)
  }

  kill(): void {
    this.isOver = true
  }

  freeze(untilMs: number): void {
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, untilMs)
  }

  #plan(delayMs: number, go: () => IteratorResult<number, T>): void {
    this.#turn += 1
    const turn = this.#turn
    this.#engine.after(delayMs, () => this.#go(turn, go))
  }

  #go(turn: number, go: () => IteratorResult<number, T>): void {
    if (this.isOver || turn !== this.#turn) return
    if (this.isFrozen) {
      this.#engine.at(this.#frozenUntilMs, () => this.#go(turn, go))
      return
    }
    try {
      const step = go()
      if (step.done) this.#end({ value: step.value })
      else this.#plan(step.value, () => this.#steps.next())
    } catch (error) {
      this.#end({ error })
    }
  }

  #end(result: Result<T>): void {
    this.isOver = true
    this.#onEnd(result)
  }
}
