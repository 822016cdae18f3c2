import { join } from 'node:path'
import { z } from 'zod'
import { isClaimed, isGroupAlive, signalNode, standOf, startNode } from './node-process.ts'
import type { JobRow, State } from './state.ts'
import type { JobTask } from './task.ts'

const TICK_MS = 100

/** A node whose process has claimed it but has not said its number yet gets this long. */
const LOST_AFTER_MS = 2_000

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

export interface JobsOptions {
  home: string
  slots: number
  /** From the polite signal to the last one. */
  graceMs: number
}

/**
 * Runs managed jobs as processes of this machine: a queue with slots, cancel, and the truth about how each ended.
 * Every step is written down before it is taken, so a server killed at any point goes on where it was.
 */
export class Jobs {
  readonly #state: State
  readonly #options: JobsOptions
  readonly #killAtMs = new Map<number, number>()
  readonly #lostSinceMs = new Map<number, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(state: State, options: JobsOptions) {
    this.#state = state
    this.#options = options
    this.#timer = setInterval(() => this.tick(), TICK_MS)
    this.tick()
  }

  /** Stops looking after the jobs. They go on. */
  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

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
  cancel(job: JobRow): boolean {
    if (job.end_at !== null) return false
    if (job.cancel_asked === 0) {
      this.#state.change(job.job_id, { cancel_asked: 1 }, 'cancel')
      this.#state.note('cancel-asked', job.job_id, job.name)
    }
    setImmediate(() => this.tick())
    return true
  }

  /** Folder of a node's files. */
  folder(jobId: number, rank: number): string {
    return join(this.#options.home, 'jobs', String(jobId), `node-${rank}`)
  }

  /** Brings every job one step on. Safe at any time. */
  tick(): void {
    if (this.#timer === undefined) return
    const live = this.#state.live()
    for (const job of live) if (job.status !== 'PENDING') this.#lookAfter(job)
    const after = this.#state.live()
    let busy = after.filter(({ status }) => status !== 'PENDING').length
    for (const job of after.filter(({ status }) => status === 'PENDING')) {
      if (job.cancel_asked === 1) this.#end(job, 'CANCELLED', null)
      else if (busy < this.#options.slots) {
        busy += 1
        this.#start(job)
      }
    }
  }

  #start(job: JobRow): void {
    this.#state.change(job.job_id, { status: 'STARTING', schedule_state: 'LAUNCHING' }, 'starting')
    this.#startNodes(job)
  }

  #startNodes(job: JobRow): void {
    const task = taskOf(job)
    const addresses = Array.from({ length: task.numNodes }, () => '127.0.0.1').join('\n')
    for (let rank = 0; rank < task.numNodes; rank += 1) {
      const folder = this.folder(job.job_id, rank)
      if (isClaimed(folder)) continue
      const env = {
        PATH: process.env['PATH'] ?? '/usr/bin:/bin',
        HOME: process.env['HOME'] ?? '/',
        ...(process.env['LANG'] ? { LANG: process.env['LANG'] } : {}),
        ...task.envs,
        SKYPILOT_TASK_ID: taskIdOf(job),
        SKYPILOT_MANAGED_JOB_ID: String(job.job_id),
        SKYPILOT_NODE_RANK: String(rank),
        SKYPILOT_NUM_NODES: String(task.numNodes),
        SKYPILOT_NODE_IPS: addresses,
        SKYPILOT_NUM_GPUS_PER_NODE: String(task.gpusPerNode),
        PYTHONUNBUFFERED: '1',
      }
      this.#state.note('process', job.job_id, job.name, `node ${rank}`)
      startNode({ folder, setup: task.setup, run: task.run ?? ':', env }, () => this.tick())
    }
  }

  #lookAfter(job: JobRow): void {
    const { numNodes } = taskOf(job)
    const folders = Array.from({ length: numNodes }, (_, rank) => this.folder(job.job_id, rank))
    // Written down but never begun: the server ended in between. Claims make beginning again safe.
    if (folders.some((folder) => !isClaimed(folder)) && this.#waitedFor(job)) this.#startNodes(job)
    const stands = folders.map(standOf)
    if (job.cancel_asked === 1) return this.#cancelling(job, folders)
    const failed = stands.filter((stand) => stand.kind === 'ended').find(({ code }) => code !== 0)
    if (failed) return this.#failing(job, folders, failed)
    if (stands.every((stand) => stand.kind === 'ended')) return this.#finish(job, folders, 'SUCCEEDED', null)
    if (stands.some((stand) => stand.kind === 'lost')) return this.#maybeLost(job, folders)
    this.#lostSinceMs.delete(job.job_id)
    if (job.status === 'STARTING' && stands.every((stand) => stand.kind !== 'setting-up'))
      this.#state.change(
        job.job_id,
        { status: 'RUNNING', schedule_state: 'ALIVE', start_at: Date.now() / 1_000 },
        'Job has started',
      )
  }

  /** A process that was just begun needs a moment to claim its node; begin again only after that. */
  #waitedFor(job: JobRow): boolean {
    const sinceMs = this.#lostSinceMs.get(job.job_id) ?? Date.now()
    this.#lostSinceMs.set(job.job_id, sinceMs)
    return Date.now() - sinceMs > LOST_AFTER_MS / 2
  }

  #maybeLost(job: JobRow, folders: readonly string[]): void {
    const sinceMs = this.#lostSinceMs.get(job.job_id) ?? Date.now()
    this.#lostSinceMs.set(job.job_id, sinceMs)
    if (Date.now() - sinceMs < LOST_AFTER_MS) return
    this.#finish(
      job,
      folders,
      'FAILED',
      'The process of the job is gone and left no exit code: it was killed from outside, or the machine restarted',
    )
  }

  #failing(job: JobRow, folders: readonly string[], first: { phase: 'setup' | 'run'; code: number }): void {
    if (!this.#isCleared(job.job_id, folders)) return
    const { phase, code } = first
    const details = `To see the details, run: sky jobs logs --controller ${job.job_id}`
    if (phase === 'setup')
      this.#end(
        job,
        'FAILED_SETUP',
        `Job failed (FAILED_SETUP) with exit code ${code} (user program failure). ${details}`,
      )
    else this.#end(job, 'FAILED', `Job exited with exit code ${code} (user program failure). ${details}`)
  }

  #cancelling(job: JobRow, folders: readonly string[]): void {
    if (job.status !== 'CANCELLING')
      this.#state.change(job.job_id, { status: 'CANCELLING' }, 'cancel requested')
    if (this.#isCleared(job.job_id, folders)) this.#end(job, 'CANCELLED', null)
  }

  #finish(job: JobRow, folders: readonly string[], status: string, reason: string | null): void {
    // What the command left behind in its group goes with the machine, as on a real one.
    if (this.#isCleared(job.job_id, folders)) this.#end(job, status, reason)
  }

  /** Asks what is left of the job's groups to end, first politely. True when nothing is left. */
  #isCleared(jobId: number, folders: readonly string[]): boolean {
    const left = folders.filter(isGroupAlive)
    if (left.length === 0) {
      this.#killAtMs.delete(jobId)
      return true
    }
    const killAtMs = this.#killAtMs.get(jobId)
    if (killAtMs === undefined) {
      this.#killAtMs.set(jobId, Date.now() + this.#options.graceMs)
      for (const folder of left) signalNode(folder, 'SIGTERM')
    } else if (Date.now() >= killAtMs) {
      for (const folder of left) signalNode(folder, 'SIGKILL')
    }
    return false
  }

  #end(job: JobRow, status: string, failureReason: string | null): void {
    this.#lostSinceMs.delete(job.job_id)
    this.#state.change(
      job.job_id,
      {
        status,
        schedule_state: 'DONE',
        end_at: Date.now() / 1_000,
        failure_reason: failureReason,
        details: failureReason === null ? null : `Failure: ${failureReason}`,
      },
      failureReason ?? status,
    )
    setImmediate(() => this.tick())
  }
}

/** SkyPilot's id of a task: when, what, which job. */
export function taskIdOf(job: JobRow): string {
  const at = new Date(job.submitted_at * 1_000).toISOString()
  const stamp = `${at.slice(0, 19).replaceAll(/[T:]/g, '-')}-${at.slice(20, 23)}000`
  return `sky-managed-${stamp}_${job.name}_${job.job_id}-0`
}
