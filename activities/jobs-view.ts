import { parseJobName } from '../core/build-task.ts'
import type { Fact, Observation } from '../core/facts.ts'
import { endingOf, isCleanedUp } from '../core/job-status.ts'

/** A job must be missing from this many complete looks before it counts as gone. */
const MISSES_MIN = 2

/**
 * A look that somebody asks for may come at once after another, and the same hitch of SkyPilot's (a table that is written
 * anew, a replica that is behind) would count as two. Looks that follow each other sooner than this are one.
 */
export const MISSES_APART_MS = 10_000

/** So many jobs that are over are remembered, so that tables which lag behind do not bring them back. */
const OVER_KEPT_MAX = 10_000

/** A row of a queue: of the managed jobs, or of one cluster. */
export interface QueueRow {
  jobId: number
  jobName: string
  status: string
  scheduleState: string | null
  submittedAtMs: number | null
  startAtMs: number | null
  endAtMs: number | null
  recoveryCount: number
  failureReason: string | null
  details: string | null
}

interface Tracked {
  jobName: string
  /** Whom to tell; undefined for a job of nobody. */
  experimentId: number | undefined
  /** The experiment that has its very name, for a job of somebody else: it is told how that ends. */
  ownerId: number | undefined
  told: string
  /** Nobody was there to be told. */
  isUnheard: boolean
  misses: number
  /** When the last of them counted. */
  missedAtMs: number
}

/** SkyPilot's words may have any length; what is told of them goes into the history of a workflow. */
export const clipped = (row: QueueRow): QueueRow => ({
  ...row,
  jobName: row.jobName.slice(0, 300),
  status: row.status.slice(0, 100),
  scheduleState: row.scheduleState?.slice(0, 100) ?? null,
  details: row.details?.slice(0, 500) ?? null,
  failureReason: row.failureReason?.slice(0, 2_000) ?? null,
})

/** A job whose news an experiment waits for. */
export interface Awaited {
  jobId: number
  jobName: string
  experimentId: number
}

export interface Look {
  rows: readonly QueueRow[]
  /** False when a part of the answer could not be read: then nothing is concluded from absence. */
  complete: boolean
  seenAtMs: number
}

/** The experiment that has exactly this name, for jobs that somebody else launched. */
export type OwnerOf = (jobName: string) => number | undefined

/**
 * What experiments were last told about their jobs in one queue, so that only changes are told. One for the managed
 * jobs, one for each cluster, whose job ids begin anew with each of its lives. Does no I/O.
 */
export class JobsView {
  /** Null for the managed jobs. */
  readonly clusterName: string | null
  readonly #tracked = new Map<number, Tracked>()
  readonly #over = new Set<number>()
  /** When this queue was last seen whole; null: not yet. */
  wholeAtMs: number | null = null

  constructor(clusterName: string | null) {
    this.clusterName = clusterName
  }

  get #place(): { clusterName?: string } {
    return this.clusterName === null ? {} : { clusterName: this.clusterName }
  }

  /** Is there a job whose end is waited for? */
  get isWaiting(): boolean {
    return this.#tracked.size > 0
  }

  isWaitingFor(jobId: number): boolean {
    return this.#tracked.has(jobId)
  }

  /** Expects news of a job that an experiment waits for. */
  track(job: Awaited): void {
    const known = this.#tracked.get(job.jobId)
    const isTaken = known !== undefined && known.experimentId !== job.experimentId
    if (isTaken || (!known && !this.#over.has(job.jobId))) this.#again(job, 0)
  }

  /**
   * Compares what was told with what an experiment shows, some time after: should news have been lost on the way,
   * or been taken for old because two clocks differ, they are told again.
   */
  audit(job: Awaited, shown: string): void {
    const told = this.#tracked.get(job.jobId)?.told
    if (told === undefined || !told.startsWith(`${shown}|`)) this.#again(job, 0)
  }

  /**
   * Lets all that lives be told again which no experiment has for its live job, though it was told: it may have been
   * taken for over, wrongly, or have been given up, or nobody was there to be told.
   */
  tellAgainBut(shown: readonly Pick<Awaited, 'jobId' | 'experimentId'>[]): void {
    const owners = new Map(shown.map(({ jobId, experimentId }) => [jobId, experimentId]))
    for (const [jobId, job] of this.#tracked)
      if (job.isUnheard || job.experimentId === undefined || owners.get(jobId) !== job.experimentId)
        this.#tracked.set(jobId, { ...job, told: '', isUnheard: false })
  }

  /** Nobody was there to be told. Somebody may be at the next audit; until then it is not told at every look. */
  noteUnheard(fact: Fact): void {
    if (fact.kind !== 'observed' && fact.kind !== 'foreignSeen') return
    const known = this.#tracked.get(fact.observation.jobId)
    if (known) known.isUnheard = true
  }

  /** Jobs that are waited for and are not among these rows: they have ended, or are lost. */
  notIn(rows: readonly QueueRow[]): number[] {
    const present = new Set(rows.map((job) => job.jobId))
    return [...this.#tracked.keys()].filter((jobId) => !present.has(jobId))
  }

  /** Takes a look in, and returns what changed, by experiment. */
  take(look: Look, ownerOf: OwnerOf): Array<[experimentId: number, fact: Fact]> {
    const facts = look.complete ? this.#missing(look) : []
    if (look.complete) this.wholeAtMs = look.seenAtMs
    for (const job of look.rows) {
      const fact = this.#factOf(job, look.seenAtMs, ownerOf)
      if (fact && this.#isNews(job, fact[0])) facts.push(fact)
    }
    return facts
  }

  /** What could not be delivered counts as not told, so the next look tells it again. */
  forgetTold(experimentId: number, fact: Fact): void {
    if (fact.kind === 'observed' || fact.kind === 'foreignSeen') {
      const { jobId, jobName } = fact.observation
      const known = this.#tracked.get(jobId)
      if (known) this.#tracked.set(jobId, { ...known, told: '', isUnheard: false })
      else this.#again({ jobId, jobName, experimentId }, 0)
    }
    if (fact.kind === 'vanished')
      this.#again({ jobId: fact.jobId, jobName: fact.jobName, experimentId }, MISSES_MIN)
  }

  #factOf(job: QueueRow, seenAtMs: number, ownerOf: OwnerOf): [number, Fact] | undefined {
    const observation = observationOf(job, this.clusterName, seenAtMs)
    const identity = parseJobName(job.jobName)
    const taker = this.#tracked.get(job.jobId)?.experimentId
    if (taker !== undefined && taker !== identity?.experimentId)
      return [taker, { kind: 'foreignSeen', observation }]
    if (identity) return [identity.experimentId, { kind: 'observed', identity, observation }]
    const owner = ownerOf(job.jobName) ?? this.#tracked.get(job.jobId)?.ownerId
    return owner === undefined ? undefined : [owner, { kind: 'foreignSeen', observation }]
  }

  #isNews(job: QueueRow, ownerId: number): boolean {
    const known = this.#tracked.get(job.jobId)
    const told = fingerprint(job)
    const isEnd = endingOf(job.status) !== undefined
    const isOver = isEnd && (this.clusterName !== null || isCleanedUp(job.scheduleState))
    // An old end that nobody waits for is no news.
    if (isOver && !known && (this.#over.has(job.jobId) || this.clusterName !== null)) return false
    const isNews = known?.told !== told
    const isUnheard = !isNews && known.isUnheard
    if (isOver) this.#close(job.jobId)
    else this.#tracked.set(job.jobId, { ...ownerIn(known, job), ownerId, told, isUnheard, ...NO_MISSES })
    return isNews
  }

  #missing(look: Look): Array<[number, Fact]> {
    const present = new Set(look.rows.map((job) => job.jobId))
    const facts: Array<[number, Fact]> = []
    for (const [jobId, job] of this.#tracked) {
      if (present.has(jobId)) continue
      if (look.seenAtMs - job.missedAtMs < MISSES_APART_MS) continue
      job.misses += 1
      job.missedAtMs = look.seenAtMs
      if (job.misses < MISSES_MIN) continue
      this.#close(jobId)
      const { jobName } = job
      const experimentId = job.experimentId ?? job.ownerId
      if (experimentId !== undefined)
        facts.push([experimentId, { kind: 'vanished', jobId, jobName, ...this.#place, atMs: look.seenAtMs }])
    }
    return facts
  }

  #again({ jobId, jobName, experimentId }: Awaited, misses: number): void {
    this.#over.delete(jobId)
    // While nothing was waited for nobody asked, and that is no silence.
    if (!this.isWaiting) this.wholeAtMs = null
    const fresh = { jobName, experimentId, ownerId: experimentId, told: '', isUnheard: false }
    this.#tracked.set(jobId, { ...fresh, ...NO_MISSES, misses })
  }

  #close(jobId: number): void {
    this.#tracked.delete(jobId)
    this.#over.add(jobId)
    const [oldest] = this.#over
    if (this.#over.size > OVER_KEPT_MAX && oldest !== undefined) this.#over.delete(oldest)
  }
}

const NO_MISSES = { misses: 0, missedAtMs: Number.NEGATIVE_INFINITY }

/** A job keeps the owner that is known, which matters for one whose name does not say it. */
const ownerIn = (known: Tracked | undefined, { jobName }: QueueRow) => ({
  jobName,
  experimentId: known?.experimentId ?? parseJobName(jobName)?.experimentId,
})

const fingerprint = (job: QueueRow): string =>
  [
    job.status,
    job.scheduleState,
    job.recoveryCount,
    job.details,
    job.failureReason,
    job.startAtMs,
    job.endAtMs,
  ].join('|')

const observationOf = (job: QueueRow, clusterName: string | null, seenAtMs: number): Observation => ({
  jobId: job.jobId,
  jobName: job.jobName,
  clusterName,
  status: job.status,
  scheduleState: job.scheduleState,
  details: job.details,
  failureReason: job.failureReason,
  submittedAtMs: job.submittedAtMs,
  startedAtMs: job.startAtMs,
  endedAtMs: job.endAtMs,
  recoveries: job.recoveryCount,
  seenAtMs,
})
