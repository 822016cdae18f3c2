import {
  endedAt,
  forbid,
  isNodeAlive,
  type NodeSpec,
  type NodeStand,
  signalNode,
  standOf,
  startedAt,
  startNode,
} from './node-process.ts'

/** One that only runs is looked at so often; when a process of our own ends, at once. */
const RUNNING_LOOK_MS = 200

/** Node processes get so long to claim their node; then they are started once more, and later given up. */
const START_AGAIN_AFTER_MS = 2_000
const GIVE_UP_AFTER_MS = 10_000

/** How a run stands. `clearing`: it is over, but something of its processes still lives. Times are seconds. */
export type RunStand =
  | { kind: 'starting' | 'setting-up' | 'clearing' }
  | { kind: 'running'; startAt: number }
  | { kind: 'ended'; phase: 'setup' | 'run'; code: number; endAt: number | undefined }
  | { kind: 'lost'; why: string }
  | { kind: 'not-started'; why: string }

export interface RunOptions {
  /** A folder for each node. */
  folders: readonly string[]
  spec: (rank: number) => NodeSpec
  /** From the polite signal to the last one. */
  graceMs: number
  /** Called before a process is started, to write it down. */
  onProcess: (rank: number) => void
  /** Something may have changed: look. */
  onChange: () => void
}

/** The processes of one run of a task, one for each node, whether this server started them or an earlier one. */
export class Run {
  readonly #options: RunOptions
  /** Processes of our own that have not ended: while they run, nothing has changed. */
  #children = 0
  #lookAtMs = 0
  #startedAtMs = performance.now()
  readonly #givenUpAtMs = performance.now() + GIVE_UP_AFTER_MS
  #killAtMs: number | undefined
  /** Why a process could not be started. */
  #problem: string | undefined
  #last: RunStand = { kind: 'starting' }

  constructor(options: RunOptions) {
    this.#options = options
  }

  /** Starts the processes of all nodes that no process has begun. */
  begin(): void {
    this.#startedAtMs = performance.now()
    for (const [rank, folder] of this.#options.folders.entries()) {
      if (standOf(folder).kind !== 'unclaimed') continue
      this.#options.onProcess(rank)
      this.#children += 1
      try {
        startNode(this.#options.spec(rank), (error) => this.#childEnded(error))
      } catch (error) {
        this.#childEnded(error instanceof Error ? error : new Error('unknown'))
      }
    }
  }

  /** Whether a process has begun any of its nodes, or none ever will. */
  isClaimed(): boolean {
    return this.#options.folders.some((folder) => standOf(folder).kind !== 'unclaimed')
  }

  /** Forgets when it was looked at last: the next look is a real one. */
  wake(): void {
    this.#lookAtMs = 0
  }

  /** How it stands; starts what has not begun, and ends what is left of one that is over. Safe at any time. */
  look(): RunStand {
    const nowMs = performance.now()
    if (nowMs < this.#lookAtMs) return this.#last
    this.#last = this.#stand()
    if (this.#last.kind === 'running') this.#lookAtMs = nowMs + RUNNING_LOOK_MS
    return this.#last
  }

  /** Ends it, first politely. True when nothing of it is left, and nothing can begin any more. */
  stop(): boolean {
    this.#options.folders.forEach(forbid)
    return this.#isCleared()
  }

  /** Ends it at once, as a machine that is lost does. True when nothing of it is left. */
  destroy(): boolean {
    this.#options.folders.forEach(forbid)
    const left = this.#options.folders.filter(isNodeAlive)
    for (const folder of left) signalNode(folder, 'SIGKILL')
    return left.length === 0
  }

  /** When all nodes had done their setup, in seconds; nothing while one has not. */
  startAt(): number | undefined {
    const starts = this.#options.folders.map(startedAt)
    return starts.some((start) => start === undefined)
      ? undefined
      : Math.max(...starts.map((start) => start ?? 0))
  }

  /** When the last of its processes ended by itself, in seconds. */
  endAt(): number | undefined {
    const ends = this.#options.folders.map(endedAt).filter((end) => end !== undefined)
    return ends.length === 0 ? undefined : Math.max(...ends)
  }

  #stand(): RunStand {
    const { folders } = this.#options
    const stands = folders.map(standOf)
    if (stands.some(({ kind }) => kind === 'unclaimed')) return this.#lookForClaims()
    const over = this.#lookForEnd(stands)
    if (over) return over
    const startAt = this.startAt()
    return startAt === undefined ? { kind: 'setting-up' } : { kind: 'running', startAt }
  }

  /** Written down but not begun: the server ended in between, or the process has not come that far. */
  #lookForClaims(): RunStand {
    const nowMs = performance.now()
    if (this.#problem !== undefined || nowMs >= this.#givenUpAtMs) {
      const why = this.#problem ?? 'it did not begin in time'
      // From here on no process of this run can begin; those that have begun are ended.
      return this.stop() ? { kind: 'not-started', why } : { kind: 'clearing' }
    }
    if (nowMs - this.#startedAtMs > START_AGAIN_AFTER_MS || this.#children === 0) this.begin()
    return { kind: 'starting' }
  }

  #lookForEnd(stands: readonly NodeStand[]): RunStand | undefined {
    const failed = stands.filter((stand) => stand.kind === 'ended').find(({ code }) => code !== 0)
    const isLost = stands.some(({ kind }) => kind === 'lost')
    if (!failed && !isLost && stands.some(({ kind }) => kind !== 'ended')) return undefined
    // What the command left behind in its group goes with it, as it would with a machine of the cloud.
    if (!this.#isCleared()) return { kind: 'clearing' }
    if (failed) return { ...failed, endAt: this.endAt() }
    if (isLost)
      return { kind: 'lost', why: this.#problem === undefined ? LOST : `${LOST} (${this.#problem})` }
    return { kind: 'ended', phase: 'run', code: 0, endAt: this.endAt() }
  }

  #childEnded(error?: Error): void {
    this.#children -= 1
    this.#lookAtMs = 0
    if (error) this.#problem = error.message
    this.#options.onChange()
  }

  /** Asks what is left of the groups to end, first politely. True when nothing is left. */
  #isCleared(): boolean {
    const left = this.#options.folders.filter(isNodeAlive)
    if (left.length === 0) return true
    if (this.#killAtMs === undefined) {
      this.#killAtMs = performance.now() + this.#options.graceMs
      for (const folder of left) signalNode(folder, 'SIGTERM')
    } else if (performance.now() >= this.#killAtMs) {
      for (const folder of left) signalNode(folder, 'SIGKILL')
    }
    return false
  }
}

const LOST =
  'The process of the job is gone and left no exit code: it was killed from outside, or the machine restarted'
