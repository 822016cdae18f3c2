import { parseJobName } from '../../core/build-task.ts'
import { endingOf } from '../../core/job-status.ts'
import { type Context, note } from './context.ts'

/** A job as it really is, whatever anybody believes. */
export interface Job {
  /** Its own among all jobs of all queues: what SKYPILOT_TASK_ID is to a real one. */
  holder: string
  jobId: number
  name: string
  clusterName: string | null
  status: string
  scheduleState: string | null
  submittedAtMs: number
  startedAtMs: number | null
  endedAtMs: number | null
  recoveries: number
  failureReason: string | null
  /** The person's code is running: past the fence, not ended, not lost. */
  isEffective: boolean
  isCancelling: boolean
  isForeign: boolean
}

export const isLive = (job: Job): boolean => endingOf(job.status) === undefined

/** So many managed jobs have machines at a time. */
const SLOTS = 40

/** The life of jobs, managed or on clusters: waiting, starting, the fence, running, lost and recovered, the end. */
export class JobLives {
  readonly #context: Context
  /** Every job of an experiment that is not quite over, by the id in its name. */
  readonly byExperiment = new Map<number, Job[]>()
  /** Which job holds the lease of an attempt. */
  readonly #leases = new Map<string, string>()
  #running = 0
  #made = 0

  constructor(context: Context) {
    this.#context = context
  }

  begin(given: { jobId: number; name: string; clusterName: string | null; isForeign: boolean }): Job {
    const { engine, random } = this.#context
    this.#made += 1
    const job: Job = {
      ...given,
      holder: `task-${this.#made}`,
      status: 'PENDING',
      scheduleState: given.clusterName === null ? 'WAITING' : null,
      submittedAtMs: engine.nowMs,
      startedAtMs: null,
      endedAtMs: null,
      recoveries: 0,
      failureReason: null,
      isEffective: false,
      isCancelling: false,
    }
    const experimentId = parseJobName(job.name)?.experimentId
    if (experimentId !== undefined)
      this.byExperiment.set(experimentId, [
        ...(this.byExperiment.get(experimentId) ?? []).filter(isLive),
        job,
      ])
    note(this.#context, { kind: 'job', name: job.name, text: `job ${job.jobId} exists, ${job.holder}` })
    engine.after(random.int(500, 15_000), () => this.#start(job))
    return job
  }

  #start(job: Job): void {
    if (job.status !== 'PENDING') return
    const { engine, random } = this.#context
    if (job.clusterName === null && this.#running >= SLOTS) {
      engine.after(random.int(5_000, 20_000), () => this.#start(job))
      return
    }
    if (job.clusterName === null) this.#running += 1
    this.#set(job, job.clusterName === null ? 'STARTING' : 'SETTING_UP')
    engine.after(random.int(1_000, 40_000), () => this.#run(job))
  }

  #run(job: Job): void {
    if (job.status !== 'STARTING' && job.status !== 'SETTING_UP') return
    const { engine, random, faults } = this.#context
    if (!this.#takesLease(job)) {
      note(this.#context, { kind: 'fenced', name: job.name, text: job.holder })
      this.end(job, 'FAILED', 'Job exited with exit code 86 (user program failure)')
      return
    }
    job.startedAtMs ??= engine.nowMs
    job.isEffective = true
    this.#set(job, 'RUNNING')
    const isFailing = random.chance(faults.jobFails)
    engine.after(isFailing ? random.int(500, 60_000) : random.waitMs(600_000), () =>
      this.#finish(job, isFailing),
    )
    if (faults.preemptionMeanMs > 0)
      engine.after(random.waitMs(faults.preemptionMeanMs), () => this.#preempt(job))
  }

  #takesLease(job: Job): boolean {
    const identity = parseJobName(job.name)
    if (!identity || !this.#context.protections.fence) return true
    const key = `${identity.experimentId}.${identity.run}.${identity.attempt}`
    const holder = this.#leases.get(key) ?? job.holder
    this.#leases.set(key, holder)
    return holder === job.holder
  }

  #finish(job: Job, isFailing: boolean): void {
    if (job.status !== 'RUNNING') return
    const { random } = this.#context
    if (!isFailing) this.end(job, 'SUCCEEDED', null)
    else if (random.chance(0.3)) this.end(job, 'FAILED_CONTROLLER', 'the controller died')
    else this.end(job, 'FAILED', `Job exited with exit code ${random.int(1, 5)} (user program failure)`)
  }

  #preempt(job: Job): void {
    if (job.status !== 'RUNNING' || job.clusterName !== null) return
    const { engine, random } = this.#context
    job.isEffective = false
    this.#set(job, 'RECOVERING')
    engine.after(random.int(5_000, 120_000), () => {
      if (job.status !== 'RECOVERING') return
      job.recoveries += 1
      job.isEffective = true
      this.#set(job, 'RUNNING')
      engine.after(random.waitMs(600_000), () => this.#finish(job, false))
    })
  }

  /** A cancel that SkyPilot took. It takes its time, and may be forgotten on the way. */
  cancel(job: Job, isLost: boolean): void {
    if (!isLive(job) || job.isCancelling || isLost) return
    const { engine, random } = this.#context
    job.isCancelling = true
    if (job.clusterName !== null) {
      engine.after(random.int(500, 3_000), () => this.end(job, 'CANCELLED', null))
      return
    }
    engine.after(random.int(1_000, 15_000), () => {
      if (isLive(job)) this.#set(job, 'CANCELLING')
      engine.after(random.int(1_000, 10_000), () => this.end(job, 'CANCELLED', null))
    })
  }

  end(job: Job, status: string, reason: string | null): void {
    if (!isLive(job)) return
    const { engine, random } = this.#context
    if (job.clusterName === null && job.status !== 'PENDING') this.#running -= 1
    job.isEffective = false
    job.endedAtMs = engine.nowMs
    job.failureReason = reason
    this.#set(job, status)
    // Late news: the controller dies while it cleans up.
    if (job.clusterName === null && status === 'SUCCEEDED' && random.chance(this.#context.faults.lateVerdict))
      engine.after(random.int(500, 5_000), () => {
        job.status = 'FAILED_CONTROLLER'
        job.failureReason = 'the controller died'
      })
    if (job.clusterName === null)
      engine.after(random.int(5_000, 15_000), () => {
        job.scheduleState = 'DONE'
        this.#context.touched(job.name)
      })
  }

  #set(job: Job, status: string): void {
    job.status = status
    if (job.clusterName === null && isLive(job))
      job.scheduleState = status === 'PENDING' ? 'WAITING' : 'ALIVE'
    this.#context.engine.trace(`job ${job.name} ${job.jobId} ${status}`)
    this.#context.touched(job.name)
  }
}
