import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { now } from './database.ts'
import type { Fault, Faults } from './faults.ts'
import { placeFiles } from './files.ts'
import { RequestFailure } from './requests.ts'
import { refuseInfeasible } from './resources.ts'
import { Run, type RunStand } from './run.ts'
import type { Settings } from './settings.ts'
import type { Also, JobRow, State } from './state.ts'
import { managedSurroundings } from './surroundings.ts'
import { JobTask } from './task.ts'

const TICK_MS = 50

export const taskOf = (job: { task: string }): JobTask => JobTask.parse(JSON.parse(job.task))

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
  run: Run
  /** Not before: the pretended cloud takes its time. */
  beginAtMs: number
  hasBegun: boolean
  cancelledAtMs: number | undefined
  cancelMs: number
  /** There is no machine for it while this fault stands. */
  shortage: Fault | undefined
}

/** Statuses of a job that has no slot yet, or none any more. */
const WITHOUT_SLOT = new Set(['PENDING'])

/**
 * Runs managed jobs as processes of this machine: a queue with slots, cancel, recovery, and the truth about how each
 * ended. Every step is written down before it is taken, so a server killed at any point goes on where it was.
 */
export class Jobs {
  readonly #state: State
  readonly #faults: Faults
  readonly #settings: () => Settings
  readonly #options: JobsOptions
  readonly #watches = new Map<number, Watch>()
  #timer: NodeJS.Timeout | undefined

  constructor(parts: { state: State; faults: Faults; settings: () => Settings }, options: JobsOptions) {
    this.#state = parts.state
    this.#faults = parts.faults
    this.#settings = parts.settings
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
    this.#soon()
    return jobId
  }

  /** Asks for the end of a job. False when it is over already. */
  cancel(job: JobRow, why: string): boolean {
    if (job.end_at !== null) return false
    if (job.cancel_asked === 0) {
      this.#state.change(job, { cancel_asked: 1, details: why }, why)
      this.#state.note('cancel-asked', job, why)
    }
    this.#watches.get(job.job_id)?.run.wake()
    this.#soon()
    return true
  }

  /** Takes the machine of a running job away. False when it has none. */
  preempt(job: JobRow): boolean {
    if (job.end_at !== null || job.status !== 'RUNNING' || job.preempt_asked === 1) return false
    this.#state.change(job, { preempt_asked: 1 }, 'preempted')
    this.#state.note('preempted', job, `attempt ${job.recovery_count}`)
    this.#soon()
    return true
  }

  /** Folder of a node's files. Each recovery has its own, as it would have another machine. */
  folder(job: Pick<JobRow, 'job_id' | 'recovery_count'>, rank: number): string {
    const attempt = job.recovery_count === 0 ? '' : `recovery-${job.recovery_count}`
    return join(this.#jobFolder(job.job_id), attempt, `node-${rank}`)
  }

  /** Brings every job one step on. Safe at any time. */
  tick(): void {
    if (this.#timer === undefined) return
    for (const job of this.#state.live())
      if (!WITHOUT_SLOT.has(job.status)) this.#step(job, () => this.#look(job))
    const live = this.#state.live()
    let busy = live.filter((job) => !WITHOUT_SLOT.has(job.status) && job.end_at === null).length
    for (const job of live.filter(({ status }) => status === 'PENDING')) {
      if (job.cancel_asked === 1) this.#step(job, () => this.#end(job, 'CANCELLED', null))
      else if (busy < this.#options.slots) {
        busy += 1
        this.#step(job, () => this.#begin(job))
      }
    }
  }

  #soon(): void {
    setImmediate(() => this.tick())
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
    const task = taskOf(job)
    const folders = Array.from({ length: task.numNodes }, (_, rank) => this.folder(job, rank))
    const spec = (rank: number) => {
      const folder = this.folder(job, rank)
      const env = managedSurroundings(job, task, rank, join(folder, '..'))
      return { folder, setup: task.setup, run: task.run ?? ':', env }
    }
    const run = new Run({
      folders,
      spec,
      graceMs: this.#options.graceMs,
      onProcess: (rank) => this.#state.note('process', job, `node ${rank}`),
      onChange: () => this.#soon(),
    })
    const watch: Watch = {
      run,
      beginAtMs: 0,
      // Begun by an earlier server: its files are in their place.
      hasBegun: run.isClaimed(),
      cancelledAtMs: undefined,
      cancelMs: 0,
      shortage: undefined,
    }
    this.#watches.set(job.job_id, watch)
    return watch
  }

  #begin(job: JobRow): void {
    // Left by an earlier database that is no more: it must not be taken for this job.
    const folder = this.#jobFolder(job.job_id)
    if (existsSync(folder)) renameSync(folder, `${folder}.old-${Date.now()}`)
    this.#state.change(job, { status: 'STARTING', schedule_state: 'LAUNCHING' }, 'Job is starting')
    this.#launch(job, this.#watch(job))
  }

  /** Looks for a machine, which is there unless something was set to be missing, and begins. */
  #launch(job: JobRow, watch: Watch): void {
    const task = taskOf(job)
    try {
      refuseInfeasible(task.demand, task.numNodes, this.#settings())
      if (this.#faults.takeFor(job.name, 'no-resource'))
        return this.#end(
          job,
          'FAILED_NO_RESOURCE',
          `Failed to provision all possible resources for ${job.name}.`,
        )
      watch.shortage ??= this.#faults.takeFor(job.name, 'no-capacity')
      if (watch.shortage && this.#faults.stands(watch.shortage)) return this.#waitForCapacity(job)
      placeFiles(task, this.#options.home, job.user_hash, join(this.folder(job, 0), '..'))
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      return this.#end(job, 'FAILED_PRECHECKS', `[sky.exceptions.${error.type}] ${error.message}`)
    }
    watch.hasBegun = true
    if (job.details !== null) this.#state.change(job, { details: null }, '')
    return watch.run.begin()
  }

  #waitForCapacity(job: JobRow): void {
    const details = 'Launching (pending: Resources; waiting for a machine)'
    if (job.details !== details) this.#state.change(job, { details }, details)
  }

  #look(job: JobRow): void {
    const watch = this.#watch(job)
    if (job.end_at !== null) return this.#afterwards(job)
    if (job.cancel_asked === 1) return this.#cancelling(job, watch)
    if (job.preempt_asked === 1) return this.#loseMachine(job, watch)
    if (job.status === 'RECOVERING' && performance.now() < watch.beginAtMs) return undefined
    if (job.status !== 'RUNNING' && !watch.hasBegun) return this.#launch(job, watch)
    return this.#follow(job, watch, watch.run.look())
  }

  #follow(job: JobRow, watch: Watch, stand: RunStand): void {
    const startAt = job.status === 'RUNNING' ? undefined : watch.run.startAt()
    if (startAt !== undefined) return this.#running(job, startAt)
    switch (stand.kind) {
      case 'ended':
        return this.#ended(job, stand)
      case 'lost':
        return this.#end(job, 'FAILED', stand.why)
      case 'not-started':
        return this.#end(job, 'FAILED', `The process of the job could not be started: ${stand.why}`)
      case 'running':
        if (this.#faults.takeFor(job.name, 'preempt')) this.preempt(job)
        return undefined
      case 'starting':
      case 'setting-up':
      case 'clearing':
        return undefined
    }
  }

  #running(job: JobRow, startAt: number): void {
    const isRecovery = job.status === 'RECOVERING'
    this.#state.change(
      job,
      {
        status: 'RUNNING',
        schedule_state: 'ALIVE',
        start_at: job.start_at ?? startAt,
        last_recovered_at: startAt,
      },
      isRecovery ? 'Job has recovered' : 'Job has started',
    )
    // It may be over already.
    this.#soon()
  }

  #ended(job: JobRow, { phase, code }: { phase: 'setup' | 'run'; code: number }): void {
    const also = { effect: 'process-ended', detail: `${phase} ${code}` }
    if (code === 0) return this.#end(job, 'SUCCEEDED', null, also)
    const { recovery } = taskOf(job)
    const isFree = phase === 'run' && recovery.exitCodes.includes(code)
    if (isFree || job.restart_count < recovery.maxRestarts)
      return this.#recover(
        job,
        { restart_count: job.restart_count + (isFree ? 0 : 1) },
        `Job exited with exit code ${code}: it is begun again`,
        also,
      )
    return this.#end(job, ...verdictOf(job.job_id, { phase, code }), also)
  }

  #loseMachine(job: JobRow, watch: Watch): void {
    if (watch.run.destroy())
      this.#recover(job, { preempt_asked: 0 }, 'Cluster is preempted or failed. Recovering...')
  }

  #recover(job: JobRow, change: Partial<JobRow>, why: string, also?: Also): void {
    this.#watches.delete(job.job_id)
    const recovered = { ...job, ...change, recovery_count: job.recovery_count + 1 }
    this.#state.change(
      job,
      {
        ...change,
        status: 'RECOVERING',
        recovery_count: recovered.recovery_count,
        details: `Recovering: ${why}`,
      },
      why,
      also,
    )
    this.#watch(recovered).beginAtMs = performance.now() + this.#settings().recoveryMs
  }

  #cancelling(job: JobRow, watch: Watch): void {
    if (watch.cancelledAtMs === undefined) {
      const slow = this.#faults.takeFor(job.name, 'slow-cancel')
      watch.cancelledAtMs = performance.now()
      watch.cancelMs = Math.max(slow?.delayMs ?? 0, this.#settings().cancellingMs)
    }
    if (job.status !== 'CANCELLING')
      this.#state.change(job, { status: 'CANCELLING' }, job.details ?? 'Cancellation requested')
    const isTime = performance.now() >= watch.cancelledAtMs + watch.cancelMs
    if (isTime && watch.run.stop()) this.#end(job, 'CANCELLED', null)
  }

  #end(job: JobRow, status: string, failureReason: string | null, also?: Also): void {
    const isCancelled = status === 'CANCELLED'
    const isLate = this.#settings().doneLagMs > 0
    this.#state.change(
      job,
      {
        status,
        schedule_state: isLate && job.status !== 'PENDING' ? 'ALIVE' : 'DONE',
        // What ended while no server looked is told with the time when it did.
        end_at: (isCancelled ? undefined : this.#watches.get(job.job_id)?.run.endAt()) ?? now(),
        failure_reason: failureReason,
        details: failureReason === null ? null : `Failure: ${failureReason}`,
      },
      failureReason ?? `Job has ${isCancelled ? 'been cancelled' : 'succeeded'}`,
      also,
    )
    this.#watches.delete(job.job_id)
    this.#soon()
  }

  /** The status is the last one; the cluster of the job is still to go. */
  #afterwards(job: JobRow): void {
    if (now() < (job.end_at ?? 0) + this.#settings().doneLagMs / 1_000) return
    this.#watches.delete(job.job_id)
    this.#state.change(job, { schedule_state: 'DONE' }, 'The cluster of the job is gone')
  }
}

function verdictOf(
  jobId: number,
  { phase, code }: { phase: 'setup' | 'run'; code: number },
): [status: string, reason: string] {
  const details = `(user program failure). To see the details, run: sky jobs logs --controller ${jobId}`
  return phase === 'setup'
    ? ['FAILED_SETUP', `Job failed (FAILED_SETUP) ${details}`]
    : ['FAILED', `Job exited with exit code ${code} ${details}`]
}
