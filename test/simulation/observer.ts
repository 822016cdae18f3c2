import { FleetView } from '../../activities/fleet-view.ts'
import { MISSES_APART_MS, type QueueRow } from '../../activities/jobs-view.ts'
import { parseClusterName } from '../../core/build-task.ts'
import type { ClusterObservation, Fact } from '../../core/facts.ts'
import { clusterObservation } from './activities.ts'
import { type Context, SkyError } from './context.ts'
import type { Steps } from './engine.ts'
import { isLive, type Job } from './jobs.ts'
import type { SkyPilot } from './skypilot.ts'
import type { Tables } from './tables.ts'

export interface ObserverDeps {
  context: Context
  sky: SkyPilot
  tables: Tables
  intervalMs: number
  /** When a look that seemed complete left out what is there. No two do so soon after another: nothing could tell that from the truth. */
  lies: { lastMs: number }
  tell: (experimentId: number, facts: Fact[]) => void
  /** The experiment that has exactly this name. */
  ownerOf: (jobName: string) => number | undefined
}

type News = Array<[number, Fact]>
const AUDIT_EVERY_MS = 120_000
const STALE_MAX_MS = 30_000
const LIES_APART_MS = 900_000

/** A look-out as `activities/fleet.ts` is one: its own views in a loop, on a SkyPilot that may lie. */
export class Observer {
  readonly #deps: ObserverDeps
  /** What listings showed some time ago, for answers out of a cache. */
  readonly #cached = new Map<string, { atMs: number; row: QueueRow }>()

  constructor(deps: ObserverDeps) {
    this.#deps = deps
  }

  *watch(): Steps<void> {
    const { engine } = this.#deps.context
    const view = new FleetView()
    let auditAtMs = 0
    for (;;) {
      const isAudit = engine.nowMs >= auditAtMs
      if (isAudit) auditAtMs = engine.nowMs + AUDIT_EVERY_MS
      try {
        yield* this.#sweep(view, isAudit)
      } catch (error) {
        if (!(error instanceof SkyError)) throw error
      }
      yield this.#deps.intervalMs
    }
  }

  *#sweep(view: FleetView, isAudit: boolean): Steps<void> {
    const { sky, context, tables, ownerOf } = this.#deps
    const seenAtMs = context.engine.nowMs
    if (tables.isUp) this.#expect(view, isAudit)
    const live = yield* sky.call(() =>
      this.#list([...sky.jobs.values()].filter((job) => job.scheduleState !== 'DONE')),
    )
    const ids = view.managed.notIn(live.rows)
    const isLying = live.isLying
    const ended = ids.length === 0 ? [] : yield* sky.call(() => ids.flatMap((id) => this.#byId(id, isLying)))
    const rows = [...live.rows, ...ended]
    const news: News = []
    const twice = context.protections.twoLooks ? 1 : 2
    for (let times = 0; times < twice; times += 1)
      news.push(
        ...view.managed.take(
          { rows, complete: live.isComplete, seenAtMs: seenAtMs + times * MISSES_APART_MS },
          ownerOf,
        ),
      )
    const clusters = yield* sky.call(() => this.#clusters(seenAtMs, isLying))
    view.forgetClustersBut(new Set(clusters.map(({ name }) => name)))
    const owner = (name: string): number | undefined => parseClusterName(name)?.experimentId
    for (let times = 0; times < twice; times += 1)
      news.push(...view.clusters.take({ clusters, complete: true, seenAtMs: seenAtMs + times }, owner))
    yield* this.#clusterJobs(view, clusters, seenAtMs, news)
    this.#tellAll(news)
  }

  #expect(view: FleetView, isAudit: boolean): void {
    const shown = this.#deps.tables
      .liveAttempts()
      .flatMap(({ jobId, ...attempt }) => (jobId === null ? [] : [{ jobId, ...attempt }]))
      .map(({ jobId, jobName, experimentId, clusterName, status }) => ({
        jobId,
        jobName,
        experimentId,
        clusterName,
        status,
      }))
    if (isAudit) view.audit(shown)
    else for (const { clusterName, status: _status, ...job } of shown) view.queueOf(clusterName).track(job)
    view.clusters.expect(this.#deps.tables.expectedClusters(), isAudit)
  }

  /** The live jobs, as this answer shows them. */
  #list(jobs: readonly Job[]): { rows: QueueRow[]; isComplete: boolean; isLying: boolean } {
    const { random, faults, engine } = this.#deps.context
    const rows = jobs.map((job) => this.#rowOf(job))
    if (random.chance(faults.partialListing))
      return { rows: rows.filter(() => random.chance(0.5)), isComplete: false, isLying: false }
    const mayLie = engine.nowMs - this.#deps.lies.lastMs > LIES_APART_MS
    if (mayLie && random.chance(faults.emptyListing)) return this.#lie([])
    if (mayLie && random.chance(faults.wrongScope)) return this.#lie(rows.filter(() => random.chance(0.5)))
    return { rows, isComplete: true, isLying: false }
  }

  #lie(rows: QueueRow[]): { rows: QueueRow[]; isComplete: boolean; isLying: boolean } {
    this.#deps.lies.lastMs = this.#deps.context.engine.nowMs
    return { rows, isComplete: true, isLying: true }
  }

  #byId(jobId: number, isLying: boolean): QueueRow[] {
    const job = this.#deps.sky.jobs.get(jobId)
    return job === undefined || (isLying && isLive(job)) ? [] : [this.#rowOf(job)]
  }

  #rowOf(job: Job): QueueRow {
    const { random, faults, engine } = this.#deps.context
    const cached = this.#cached.get(job.holder)
    if (cached && engine.nowMs - cached.atMs < STALE_MAX_MS && random.chance(faults.staleListing))
      return cached.row
    const row = rowOf(job)
    this.#cached.set(job.holder, { atMs: engine.nowMs, row })
    if (isLive(job) && random.chance(faults.unknownStatus)) return { ...row, status: 'FROBNICATING' }
    return row
  }

  #clusters(seenAtMs: number, isLying: boolean): ClusterObservation[] {
    const { random } = this.#deps.context
    const all = [...this.#deps.sky.clusters.byName.values()].map((cluster) =>
      clusterObservation(cluster, seenAtMs),
    )
    return isLying ? all.filter(() => random.chance(0.5)) : all
  }

  *#clusterJobs(
    view: FleetView,
    clusters: readonly ClusterObservation[],
    seenAtMs: number,
    news: News,
  ): Steps<void> {
    const { sky } = this.#deps
    const up = new Set(clusters.filter(({ status }) => status === 'UP').map(({ name }) => name))
    for (const name of view.clustersAtWork().filter((each) => up.has(each))) {
      try {
        const rows = yield* sky.call(() => sky.clusters.jobsOn(name).map((job) => this.#rowOf(job)))
        news.push(...view.on(name).take({ rows, complete: true, seenAtMs }, () => undefined))
      } catch (error) {
        if (!(error instanceof SkyError)) throw error
      }
    }
  }

  /** Signals, of which one may come twice, and late. */
  #tellAll(news: News): void {
    const { context, tell } = this.#deps
    const { random, faults, engine } = context
    const byExperiment = new Map<number, Fact[]>()
    for (const [id, fact] of news) byExperiment.set(id, [...(byExperiment.get(id) ?? []), fact])
    for (const [id, facts] of byExperiment) {
      tell(id, facts)
      if (random.chance(faults.factsAgain)) engine.after(random.int(10, 120_000), () => tell(id, facts))
    }
  }
}

const rowOf = (job: Job): QueueRow => ({
  jobId: job.jobId,
  jobName: job.name,
  status: job.status,
  scheduleState: job.scheduleState,
  submittedAtMs: job.submittedAtMs,
  startAtMs: job.startedAtMs,
  endAtMs: job.endedAtMs,
  recoveryCount: job.clusterName === null ? job.recoveries : 0,
  failureReason: job.clusterName === null ? job.failureReason : null,
  details: null,
})
