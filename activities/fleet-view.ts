import { parseJobName } from '../core/build-task.ts'
import type { Fact, Observation } from '../core/evolve.ts'
import { endingOf } from '../core/job-status.ts'
import type { ManagedJobRecord } from '../skypilot/schemas.ts'

/** A job must be missing from this many complete looks before it counts as gone. */
const MISSES_MIN = 2

/** So many jobs that are over are remembered, so that tables which lag behind do not bring them back. */
const OVER_KEPT_MAX = 10_000

interface Tracked {
  jobName: string
  told: string
  misses: number
}

export interface Look {
  live: readonly ManagedJobRecord[]
  ended: readonly ManagedJobRecord[]
  /** False when a part of the answer could not be read: then nothing is concluded from absence. */
  complete: boolean
  seenAtMs: number
}

/** What the fleet last told each experiment about its jobs, so that only changes are told. Does no I/O. */
export class FleetView {
  readonly #tracked = new Map<number, Tracked>()
  readonly #over = new Set<number>()

  /** Expects news of a job that an experiment waits for. */
  track(jobId: number, jobName: string): void {
    if (!this.#tracked.has(jobId) && !this.#over.has(jobId)) this.#again(jobId, jobName, 0)
  }

  /**
   * Compares what was told with what an experiment shows, some time after: should news have been lost on the way,
   * or been taken for old because two clocks differ, they are told again.
   */
  audit(jobId: number, jobName: string, shown: string): void {
    const told = this.#tracked.get(jobId)?.told
    if (told === undefined || !told.startsWith(`${shown}|`)) this.#again(jobId, jobName, 0)
  }

  /** Jobs that were live and are not in this list of live ones: they have ended, or are lost. */
  notIn(live: readonly ManagedJobRecord[]): number[] {
    const present = new Set(live.map((job) => job.jobId))
    return [...this.#tracked.keys()].filter((jobId) => !present.has(jobId))
  }

  /** Takes a look in, and returns what changed, by experiment. */
  take(look: Look): Map<number, Fact[]> {
    const facts = look.complete ? this.#missing(look) : []
    for (const job of [...look.live, ...look.ended]) {
      const identity = parseJobName(job.jobName)
      if (identity && this.#isNews(job))
        facts.push([
          identity.experimentId,
          { kind: 'observed', identity, observation: observationOf(job, look.seenAtMs) },
        ])
    }
    const byExperiment = new Map<number, Fact[]>()
    for (const [experimentId, fact] of facts)
      byExperiment.set(experimentId, [...(byExperiment.get(experimentId) ?? []), fact])
    return byExperiment
  }

  /** What could not be delivered counts as not told, so the next look tells it again. */
  forgetTold(facts: readonly Fact[]): void {
    for (const fact of facts) {
      if (fact.kind === 'observed') this.#again(fact.observation.jobId, fact.observation.jobName, 0)
      if (fact.kind === 'vanished') this.#again(fact.jobId, fact.jobName, MISSES_MIN)
    }
  }

  #isNews(job: ManagedJobRecord): boolean {
    const known = this.#tracked.get(job.jobId)
    const told = fingerprint(job)
    const isOver = endingOf(job.status) !== undefined && job.scheduleState === 'DONE'
    if (isOver) this.#close(job.jobId)
    else this.#tracked.set(job.jobId, { jobName: job.jobName, told, misses: 0 })
    return known?.told !== told
  }

  #missing(look: Look): Array<[number, Fact]> {
    const present = new Set([...look.live, ...look.ended].map((job) => job.jobId))
    const facts: Array<[number, Fact]> = []
    for (const [jobId, job] of this.#tracked) {
      if (present.has(jobId)) continue
      job.misses += 1
      const identity = parseJobName(job.jobName)
      if (job.misses < MISSES_MIN || !identity) continue
      this.#close(jobId)
      const { jobName } = job
      facts.push([identity.experimentId, { kind: 'vanished', jobId, jobName, atMs: look.seenAtMs }])
    }
    return facts
  }

  #again(jobId: number, jobName: string, misses: number): void {
    this.#over.delete(jobId)
    this.#tracked.set(jobId, { jobName, told: '', misses })
  }

  #close(jobId: number): void {
    this.#tracked.delete(jobId)
    this.#over.add(jobId)
    const [oldest] = this.#over
    if (this.#over.size > OVER_KEPT_MAX && oldest !== undefined) this.#over.delete(oldest)
  }
}

const fingerprint = (job: ManagedJobRecord): string =>
  [
    job.status,
    job.scheduleState,
    job.recoveryCount,
    job.details,
    job.failureReason,
    job.startAtMs,
    job.endAtMs,
  ].join('|')

const observationOf = (job: ManagedJobRecord, seenAtMs: number): Observation => ({
  jobId: job.jobId,
  jobName: job.jobName,
  status: job.status,
  scheduleState: job.scheduleState,
  details: job.details?.slice(0, 500) ?? null,
  failureReason: job.failureReason?.slice(0, 2_000) ?? null,
  submittedAtMs: job.submittedAtMs,
  startedAtMs: job.startAtMs,
  endedAtMs: job.endAtMs,
  recoveries: job.recoveryCount,
  seenAtMs,
})
