import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import {
  endedAt,
  forbid,
  isNodeAlive,
  type NodeStand,
  signalNode,
  standOf,
  startedAt,
  startNode,
} from './node-process.ts'
import type { JobRow, State } from './state.ts'
import { environmentOf } from './surroundings.ts'
import type { JobTask } from './task.ts'

const TICK_MS = 50

/** A job that only runs is looked at so often; when a process of our own ends, at once. */
const RUNNING_LOOK_MS = 200

/** Node processes get so long to claim their node; then they are started once more, and later given up. */
const START_AGAIN_AFTER_MS = 2_000
const GIVE_UP_AFTER_MS = 10_000

const Task: z.ZodType<JobTask> = z.object({
  name: z.string(),
  numNodes: z.int(),
  setup: z.string().nullable(),
  run: z.string().nullable(),
  envs: z.record(z.string(), z.string()),
  resources: z.string(),
  gpusPerNode: z.int(),
})

export const taskOf = (job: JobRow): JobTask => Task.parse(JSON.parse(job.task))

export type Log = (message: string, fields?: Record<string, unknown>) => void

export interface JobsOptions {
  home: string
  slots: number
  /** From the polite signal to the last one. */
  graceMs: number
  log: Log
}

/** What is known of a job beside its row, in this life of the server. */
interface Watch {
  folders: readonly string[]
  /** Processes of our own that have not ended: while they run, nothing has changed. */
  children: number
  lookAtMs: number
  startedAtMs: number
  givenUpAtMs: number
  killAtMs: number | undefined
  /** Why a process could not be started. */
  problem: string | undefined
}

/**
 * Runs managed jobs as processes of this machine: a queue with slots, cancel, and the truth about how each ended.
 * Every step is written down before it is taken, so a server killed at any point goes on where it was.
 */
export class Jobs {
  readonly #state: State
  readonly #options: JobsOptions
  readonly #watches = new Map<number, Watch>()
  #timer: NodeJS.Timeout | undefined

  constructor(state: State, options: JobsOptions) {
    this.#state = state
    this.#options = options
  }

  /** Begins to look after the jobs, also those of an earlier server. */
  start(): void {
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.tick()
  }

  /** Stops looking after the jobs. They go on. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Takes a job in. It is durable when this returns. */
  submit(task: JobTask, yaml: string, user: { id: string; name: string }): number {
    const jobId = this.#state.addJob({
      name: task.name,
      task: JSON.stringify(task),
      yaml,
      user_hash: user.id,
      user_name: user.name,
    })
    setImmediate(() => this.tick())
    return jobId
  }

  /** Asks for the end of a job. False when it is over already. */
  cancel(job: JobRow, why: string): boolean {
    if (job.end_at !== null) return false
    if (job.cancel_asked === 0) {
      this.#state.change(job, { cancel_asked: 1, details: why }, why)
      this.#state.note('cancel-asked', job, why)
    }
    const watch = this.#watches.get(job.job_id)
    if (watch) watch.lookAtMs = 0
    setImmediate(() => this.tick())
    return true
  }

  /** Folder of a node's files. */
  folder(jobId: number, rank: number): string {
    return join(this.#jobFolder(jobId), `node-${rank}`)
  }

  /** Brings every job one step on. Safe at any time. */
  tick(): void {
    if (this.#timer === undefined) return
    for (const job of this.#state.live()) if (job.status !== 'PENDING') this.#step(job, () => this.#look(job))
    const live = this.#state.live()
    let busy = live.filter(({ status }) => status !== 'PENDING').length
    for (const job of live.filter(({ status }) => status === 'PENDING')) {
      if (job.cancel_asked === 1) this.#step(job, () => this.#end(job, 'CANCELLED', null))
      else if (busy < this.#options.slots) {
        busy += 1
        this.#step(job, () => this.#begin(job))
      }
    }
  }

  /** One job's trouble (a full disk, say) must not stop the others. */
  #step(job: JobRow, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#options.log('a job could not be looked after', { jobId: job.job_id, error: String(error) })
    }
  }

  #jobFolder(jobId: number): string {
    return join(this.#options.home, 'jobs', String(jobId))
  }

  #watch(job: JobRow): Watch {
    const known = this.#watches.get(job.job_id)
    if (known) return known
    const nowMs = performance.now()
    const { numNodes } = taskOf(job)
    const watch: Watch = {
      folders: Array.from({ length: numNodes }, (_, rank) => this.folder(job.job_id, rank)),
      children: 0,
      lookAtMs: nowMs,
      startedAtMs: nowMs,
      givenUpAtMs: nowMs + GIVE_UP_AFTER_MS,
      killAtMs: undefined,
      problem: undefined,
    }
    this.#watches.set(job.job_id, watch)
    return watch
  }

  #begin(job: JobRow): void {
    // Left by an earlier database that is no more: it must not be taken for this job.
    const folder = this.#jobFolder(job.job_id)
    if (existsSync(folder)) renameSync(folder, `${folder}.old-${Date.now()}`)
    this.#state.change(job, { status: 'STARTING', schedule_state: 'LAUNCHING' }, 'Job is starting')
    this.#startNodes(job, this.#watch(job))
  }

  #startNodes(job: JobRow, watch: Watch): void {
    const task = taskOf(job)
    watch.startedAtMs = performance.now()
    for (const [rank, folder] of watch.folders.entries()) {
      if (standOf(folder).kind !== 'unclaimed') continue
      const spec = { folder, setup: task.setup, run: task.run ?? ':', env: environmentOf(job, task, rank) }
      this.#state.note('process', job, `node ${rank}`)
      watch.children += 1
      try {
        startNode(spec, (error) => this.#childEnded(watch, error))
      } catch (error) {
        this.#childEnded(watch, error instanceof Error ? error : new Error('unknown'))
      }
    }
  }

  #childEnded(watch: Watch, error?: Error): void {
    watch.children -= 1
    watch.lookAtMs = 0
    if (error) watch.problem = error.message
    setImmediate(() => this.tick())
  }

  #look(job: JobRow): void {
    const watch = this.#watch(job)
    const nowMs = performance.now()
    if (nowMs < watch.lookAtMs) return
    if (job.cancel_asked === 1) return this.#cancelling(job, watch)
    const stands = watch.folders.map(standOf)
    if (stands.some(({ kind }) => kind === 'unclaimed')) this.#lookForClaims(job, watch)
    else if (job.status === 'STARTING' && watch.folders.every((folder) => startedAt(folder) !== undefined))
      this.#running(job, watch)
    else if (this.#lookForEnd(job, watch, stands)) return
    else if (job.status === 'RUNNING') watch.lookAtMs = nowMs + RUNNING_LOOK_MS
  }

  #running(job: JobRow, watch: Watch): void {
    const startAt = Math.max(...watch.folders.map((folder) => startedAt(folder) ?? 0))
    this.#state.change(
      job,
      { status: 'RUNNING', schedule_state: 'ALIVE', start_at: startAt },
      'Job has started',
    )
    // It may be over already.
    setImmediate(() => this.tick())
  }

  /** Written down but not begun: the server ended in between, or the process has not come that far. */
  #lookForClaims(job: JobRow, watch: Watch): void {
    const nowMs = performance.now()
    if (watch.problem !== undefined || nowMs >= watch.givenUpAtMs) {
      watch.folders.forEach(forbid)
      // From here on no process of this job can begin; those that have begun are ended.
      const why = watch.problem ?? 'it did not begin in time'
      if (this.#isCleared(watch))
        this.#end(job, 'FAILED', `The process of the job could not be started: ${why}`)
    } else if (nowMs - watch.startedAtMs > START_AGAIN_AFTER_MS || watch.children === 0)
      this.#startNodes(job, watch)
  }

  /** True when the job ends, or has ended. */
  #lookForEnd(job: JobRow, watch: Watch, stands: readonly NodeStand[]): boolean {
    const failed = stands.filter((stand) => stand.kind === 'ended').find(({ code }) => code !== 0)
    const isLost = stands.some(({ kind }) => kind === 'lost')
    if (!failed && !isLost && stands.some(({ kind }) => kind !== 'ended')) return false
    // What the command left behind in its group goes with the job, as it would with a machine of the cloud.
    if (!this.#isCleared(watch)) return true
    if (failed) this.#end(job, ...verdictOf(job.job_id, failed))
    else if (isLost)
      this.#end(job, 'FAILED', watch.problem === undefined ? LOST : `${LOST} (${watch.problem})`)
    else this.#end(job, 'SUCCEEDED', null)
    return true
  }

  #cancelling(job: JobRow, watch: Watch): void {
    if (job.status !== 'CANCELLING')
      this.#state.change(job, { status: 'CANCELLING' }, job.details ?? 'Cancellation requested')
    watch.folders.forEach(forbid)
    if (this.#isCleared(watch)) this.#end(job, 'CANCELLED', null)
  }

  /** Asks what is left of the job's groups to end, first politely. True when nothing is left. */
  #isCleared(watch: Watch): boolean {
    const left = watch.folders.filter(isNodeAlive)
    if (left.length === 0) return true
    if (watch.killAtMs === undefined) {
      watch.killAtMs = performance.now() + this.#options.graceMs
      for (const folder of left) signalNode(folder, 'SIGTERM')
    } else if (performance.now() >= watch.killAtMs) {
      for (const folder of left) signalNode(folder, 'SIGKILL')
    }
    return false
  }

  #end(job: JobRow, status: string, failureReason: string | null): void {
    const folders = this.#watches.get(job.job_id)?.folders ?? []
    const ends = folders.map(endedAt).filter((end) => end !== undefined)
    // What ended while no server looked is told with the time when it did.
    const endAt = status === 'CANCELLED' || ends.length === 0 ? Date.now() / 1_000 : Math.max(...ends)
    this.#watches.delete(job.job_id)
    this.#state.change(
      job,
      {
        status,
        schedule_state: 'DONE',
        end_at: endAt,
        failure_reason: failureReason,
        details: failureReason === null ? null : `Failure: ${failureReason}`,
      },
      failureReason ?? `Job has ${status === 'CANCELLED' ? 'been cancelled' : 'succeeded'}`,
    )
    setImmediate(() => this.tick())
  }
}

const LOST =
  'The process of the job is gone and left no exit code: it was killed from outside, or the machine restarted'

function verdictOf(
  jobId: number,
  { phase, code }: { phase: 'setup' | 'run'; code: number },
): [status: string, reason: string] {
  const details = `(user program failure). To see the details, run: sky jobs logs --controller ${jobId}`
  return phase === 'setup'
    ? ['FAILED_SETUP', `Job failed (FAILED_SETUP) ${details}`]
    : ['FAILED', `Job exited with exit code ${code} ${details}`]
}
