import type { Context } from './context.ts'
import { Cancelled, Process, type Result, type Steps } from './engine.ts'

const HEARTBEAT_TIMEOUT_MS = 10_000
const HEARTBEAT_MS = 2_000

/** What an activity may know of itself. */
export interface Attempt {
  number: number
  /** Temporal has given up on this attempt, and it goes on all the same. */
  isZombie: boolean
}

export type Outcome<T> = { kind: 'done'; value: T } | { kind: 'failed'; error: Error } | { kind: 'cancelled' }

export interface Handle {
  cancel(): void
}

interface Worker {
  isUp: boolean
  frozenUntilMs: number
  running: Set<Process<unknown>>
}

interface Options {
  /** 0 for no end of them. */
  maximumAttempts: number
  isFinal: (error: unknown) => boolean
}

/** What Temporal gives: activities at least once, on workers that die, freeze and lose results. */
export class Temporal {
  readonly #context: Context
  readonly #workers: Worker[] = Array.from({ length: 2 }, () => ({
    isUp: true,
    frozenUntilMs: 0,
    running: new Set(),
  }))

  constructor(context: Context) {
    this.#context = context
  }

  /** Is there a worker that takes workflow tasks? */
  get isServing(): boolean {
    return this.#workers.some((worker) => this.#serves(worker))
  }

  #serves({ isUp, frozenUntilMs }: Worker): boolean {
    return isUp && frozenUntilMs <= this.#context.engine.nowMs
  }

  crash(index: number, awayMs: number): void {
    const worker = this.#workers[index]
    if (!worker?.isUp) return
    this.#context.engine.trace(`worker ${index} killed`)
    worker.isUp = false
    for (const process of worker.running) process.kill()
    worker.running.clear()
    this.#context.engine.after(awayMs, () => {
      worker.isUp = true
    })
  }

  freeze(index: number, forMs: number): void {
    const worker = this.#workers[index]
    if (!worker?.isUp) return
    this.#context.engine.trace(`worker ${index} frozen for ${forMs} ms`)
    worker.frozenUntilMs = this.#context.engine.nowMs + forMs
    for (const process of worker.running) process.freeze(worker.frozenUntilMs)
  }

  /** Runs an activity until one attempt of it ends and tells so, or until it has failed too often. */
  execute<T>(
    work: (attempt: Attempt) => Steps<T>,
    options: Options,
    onEnd: (outcome: Outcome<T>) => void,
  ): Handle {
    const run = new ActivityRun(this.#context, (process) => this.#place(process), work, options, onEnd)
    run.begin()
    return run
  }

  /** Gives a fresh process to a worker; undefined where none takes any. */
  #place(start: () => Process<unknown>): Placed | undefined {
    const serving = this.#workers.filter((worker) => this.#serves(worker))
    if (serving.length === 0) return undefined
    const worker = this.#context.random.pick(serving)
    const process = start()
    worker.running.add(process)
    return { process, leave: () => worker.running.delete(process) }
  }
}

interface Placed {
  process: Process<unknown>
  leave: () => void
}

class ActivityRun<T> implements Handle {
  #number = 0
  #isOver = false
  #isCancelled = false
  #current: { placed: Placed; attempt: Attempt } | null = null
  readonly #context: Context
  readonly #place: (start: () => Process<unknown>) => Placed | undefined
  readonly #work: (attempt: Attempt) => Steps<T>
  readonly #options: Options
  readonly #onEnd: (outcome: Outcome<T>) => void

  constructor(
    context: Context,
    place: (start: () => Process<unknown>) => Placed | undefined,
    work: (attempt: Attempt) => Steps<T>,
    options: Options,
    onEnd: (outcome: Outcome<T>) => void,
  ) {
    this.#context = context
    this.#place = place
    this.#work = work
    this.#options = options
    this.#onEnd = onEnd
  }

  begin(): void {
    if (this.#isOver) return
    if (this.#isCancelled) return this.#finish({ kind: 'cancelled' })
    const attempt: Attempt = { number: this.#number + 1, isZombie: false }
    const placed = this.#place(
      () =>
        new Process<unknown>(this.#context.engine, this.#work(attempt), (result) =>
          this.#ended(attempt, result),
        ),
    )
    if (!placed) {
      this.#context.engine.after(1_000, () => this.begin())
      return
    }
    this.#number += 1
    this.#current = { placed, attempt }
    this.#watch(attempt, placed)
  }

  /** It is told at its next heartbeat; when its worker does not answer, that is noticed by the heartbeats. */
  cancel(): void {
    if (this.#isOver || this.#isCancelled) return
    this.#isCancelled = true
    this.#current?.placed.process.cancel(this.#context.random.int(10, HEARTBEAT_MS))
  }

  #watch(attempt: Attempt, { process, leave }: Placed): void {
    let aliveAtMs = this.#context.engine.nowMs
    const look = (): void => {
      if (this.#current?.attempt !== attempt) return
      const { nowMs } = this.#context.engine
      if (!process.isOver && !process.isFrozen) aliveAtMs = nowMs
      if (nowMs - aliveAtMs < HEARTBEAT_TIMEOUT_MS) {
        this.#context.engine.after(HEARTBEAT_MS, look)
        return
      }
      attempt.isZombie = true
      leave()
      process.giveUp(this.#context.random.int(1, HEARTBEAT_MS))
      this.#lose()
    }
    this.#context.engine.after(HEARTBEAT_MS, look)
  }

  #lose(): void {
    this.#current = null
    if (this.#isCancelled) this.#finish({ kind: 'cancelled' })
    else this.#again(new Error('activity Heartbeat timeout'))
  }

  #ended(attempt: Attempt, result: Result<unknown>): void {
    if (attempt.isZombie || this.#current?.attempt !== attempt) return
    // The worker dies with the answer in its hands: the heartbeats end, and it is done once more.
    if (this.#context.random.chance(this.#context.faults.resultLost)) return
    this.#current.placed.leave()
    this.#current = null
    if ('value' in result) this.#finish({ kind: 'done', value: result.value as T })
    else if (result.error instanceof Cancelled) this.#finish({ kind: 'cancelled' })
    else if (!(result.error instanceof Error)) throw result.error
    else if (this.#options.isFinal(result.error)) this.#finish({ kind: 'failed', error: result.error })
    else if (this.#isCancelled) this.#finish({ kind: 'cancelled' })
    else this.#again(result.error)
  }

  #again(error: Error): void {
    const { maximumAttempts } = this.#options
    if (maximumAttempts > 0 && this.#number >= maximumAttempts) this.#finish({ kind: 'failed', error })
    else this.#context.engine.after(Math.min(30_000, 1_000 * 2 ** (this.#number - 1)), () => this.begin())
  }

  #finish(outcome: Outcome<T>): void {
    if (this.#isOver) return
    this.#isOver = true
    // The workflow hears of it in a workflow task.
    this.#context.engine.after(this.#context.random.int(5, 50), () => this.#onEnd(outcome))
  }
}
