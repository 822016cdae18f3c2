import { MAKING_MAX_MS } from '../../core/action.ts'
import { parseClusterName, parseJobName } from '../../core/build-task.ts'
import type { Attempt, Experiment, Stray, Verdict } from '../../core/experiment.ts'
import { explain } from '../../core/explain.ts'
import type { LaunchOrder } from './activities.ts'
import type { Context } from './context.ts'
import type { Entity } from './entity.ts'
import { endingOf } from '../../core/job-status.ts'
import { isLive, type Job } from './jobs.ts'
import type { SkyPilot } from './skypilot.ts'
import type { Tables } from './tables.ts'
import type { Attempt as Try } from './temporal.ts'

/** I1b: two live jobs of one experiment, counted only while SkyPilot and a worker can be reached. */
const OVERLAP_MAX_MS = 900_000
/** I5: until a cancel has reached an activity. */
const CANCEL_LATENCY_MS = 15_000
/** Until an experiment knows what happened, in a world where nothing goes wrong. */
const TOLD_MAX_MS = 120_000
const LAUNCH_MAX_MS = 600_000
const STATE_BYTES_MAX = 65_536
/** What waits for a database that is away comes on top of what the state itself is. */
const WAITING_FOR_TABLES_MAX = 50

interface Watched {
  entity: Entity
  overlap: { sinceHealthyMs: number; sinceMs: number } | null
  verdicts: Map<string, Verdict>
  /** The newest attempt so far. */
  newest: { run: number; attempt: number }
}

/** Compares what is believed with what is, after every event and at the end. */
export class Invariants {
  /** How long pairs of live jobs of one experiment lasted, in ms of virtual time. */
  readonly overlaps: number[] = []
  readonly #context: Context
  readonly #sky: SkyPilot
  readonly #tables: Tables
  readonly #watched = new Map<number, Watched>()
  /** When a launch of this name was sent last. */
  readonly #sent = new Map<string, number>()
  readonly #owners = new Map<number, string>()
  #checks = 0

  constructor(context: Context, sky: SkyPilot, tables: Tables) {
    this.#context = context
    this.#sky = sky
    this.#tables = tables
  }

  watch(entity: Entity): void {
    const newest = { run: 0, attempt: 0 }
    this.#watched.set(entity.state.id, {
      entity,
      overlap: null,
      verdicts: new Map(),
      newest,
    })
  }

  /** After an event that touched this experiment. `healthyMs` is time in which the world could be reached. */
  check(id: number, healthyMs: number): void {
    const watched = this.#watched.get(id)
    if (!watched) return
    this.#checks += 1
    const { state } = watched.entity
    this.#exclusion(state)
    this.#boundedOverlap(watched, healthyMs)
    this.#history(watched)
    this.#identity(state)
    if (this.#checks % 16 === 0) this.#size(state)
    if (watched.entity.isClosed) this.#deletion(watched)
  }

  #jobs(id: number): Job[] {
    return this.#sky.lives.byExperiment.get(id) ?? []
  }

  #exclusion({ id, name }: Experiment): void {
    const holders = new Set<string>()
    for (const job of this.#jobs(id)) {
      if (!job.isEffective) continue
      if (holders.has(job.name))
        this.#context.violated('I1', `two jobs of ${job.name} run the code of ${name} at once`)
      holders.add(job.name)
    }
  }

  #boundedOverlap(watched: Watched, healthyMs: number): void {
    const live = this.#jobs(watched.entity.state.id).filter(isLive)
    const { nowMs } = this.#context.engine
    if (live.length < 2 || watched.entity.state.hold) {
      if (watched.overlap) this.overlaps.push(nowMs - watched.overlap.sinceMs)
      watched.overlap = null
      return
    }
    watched.overlap ??= { sinceHealthyMs: healthyMs, sinceMs: nowMs }
    if (healthyMs - watched.overlap.sinceHealthyMs > OVERLAP_MAX_MS)
      this.#context.violated(
        'I1b',
        `${live.map(({ name, jobId }) => `${name}=${jobId}`).join(', ')} live beside each other`,
      )
  }

  /** For overlaps that nothing touches any more. */
  sweep(healthyMs: number): void {
    for (const watched of this.#watched.values()) this.#boundedOverlap(watched, healthyMs)
  }

  #history(watched: Watched): void {
    const { state } = watched.entity
    if (state.attempt) this.#onlyForward(watched, state.attempt)
    for (const attempt of state.attempt ? [...state.past, state.attempt] : state.past)
      this.#oneAttempt(watched, attempt)
  }

  /** I7: runs and attempts are numbered upwards, and no number is given twice. */
  #onlyForward(watched: Watched, { run, attempt, jobName }: Attempt): void {
    const { newest } = watched
    if (run < newest.run || (run === newest.run && attempt < newest.attempt))
      this.#context.violated('I7', `after attempt ${newest.run}.${newest.attempt} comes ${jobName}`)
    watched.newest = { run, attempt }
  }

  #oneAttempt(watched: Watched, attempt: Attempt): void {
    const { progress } = attempt
    const key = `${watched.entity.state.id}.${attempt.run}.${attempt.attempt}`
    if (progress.phase === 'active' && attempt.clusterName === null) this.#owned(progress.jobId, key)
    const verdict = 'verdict' in progress ? progress.verdict : null
    const before = watched.verdicts.get(key)
    // On a cluster nobody says with which code a job left, so one that left at the fence looks like any failure.
    const isFenced = this.#context.ledger.of(attempt.jobName).some(({ kind }) => kind === 'fenced')
    if (verdict && !isFenced && !isSameEnd(before, verdict))
      this.#context.violated(
        'I7',
        `the end of ${attempt.jobName} was ${before?.status} and is ${verdict.status}`,
      )
    if (!verdict || before) return
    watched.verdicts.set(key, verdict)
    if (verdict.status === 'GONE' || verdict.status === 'CLUSTER_GONE') this.#trulyGone(attempt, verdict)
  }

  /** One job belongs to one attempt for ever. */
  #owned(jobId: number, key: string): void {
    const owner = this.#owners.get(jobId)
    if (owner !== undefined && owner !== key)
      this.#context.violated('I7', `job ${jobId} was of ${owner} and is of ${key}`)
    this.#owners.set(jobId, key)
  }

  /** I6: absence is not death. */
  #trulyGone(attempt: Attempt, verdict: Verdict): void {
    const { progress } = attempt
    if (progress.phase !== 'ended') return
    const { clusterName } = attempt
    const job = this.#jobOf(progress.jobId ?? 0, clusterName)
    if (job && job.name === attempt.jobName && isLive(job))
      this.#context.violated(
        'I6',
        `${attempt.jobName} counts as ${verdict.status}, and its job ${job.jobId} is ${job.status}`,
      )
  }

  #identity({ id, name, attempt, strays }: Experiment): void {
    for (const { jobName } of attempt ? [attempt, ...strays] : strays) {
      const identity = parseJobName(jobName)
      if (identity && identity.experimentId !== id)
        this.#context.violated('I9', `${name} (${id}) took ${jobName} for its own`)
    }
  }

  #size(state: Experiment): void {
    if (state.events.length + state.past.length > WAITING_FOR_TABLES_MAX) return
    const bytes = Buffer.byteLength(JSON.stringify(state))
    if (bytes > STATE_BYTES_MAX)
      this.#context.violated('I10', `the state of ${state.name} has ${bytes} bytes`)
  }

  #deletion(watched: Watched): void {
    const { state } = watched.entity
    if (!state.deleted) this.#context.violated('I15', `${state.name} ended without being deleted`)
    if (state.cluster || state.strays.length > 0)
      this.#context.violated('I15', `${state.name} ended with a cluster or a second job in its books`)
  }

  /** Right before a launch is sent. */
  post({ entity, order, attempt }: { entity: Entity; order: LaunchOrder; attempt: Try }): void {
    if (attempt.isZombie) return
    const { state, isClosed } = entity
    const { nowMs } = this.#context.engine
    if (isClosed) this.#context.violated('I15', `${order.name} is launched after the end of ${state.name}`)
    if (state.desired.state !== 'RUNNING' && nowMs - state.desired.atMs > CANCEL_LATENCY_MS)
      this.#context.violated(
        'I5',
        `${order.name} is launched ${nowMs - state.desired.atMs} ms after ${state.desired.state} was wanted`,
      )
    if (
      state.attempt?.jobName !== order.name &&
      nowMs - (state.attempt?.createdAtMs ?? 0) > CANCEL_LATENCY_MS
    )
      this.#context.violated('I2', `${order.name} is launched, and the attempt is ${state.attempt?.jobName}`)
    this.#looksBetween(order.name)
    if (this.#sky.isWorkingUnseen(order.name))
      this.#context.violated('I2', `${order.name} is launched again while a forgotten launch of it goes on`)
  }

  /**
   * I2: no second launch of one attempt is sent without two looks since the first that found nothing, and none beside
   * a cluster in the making before that has gone on for longer than any launch.
   */
  #looksBetween(name: string): void {
    const sentMs = this.#sent.get(name)
    this.#sent.set(name, this.#context.engine.nowMs)
    if (sentMs === undefined) return
    const looks = this.#context.ledger.of(name).filter(({ kind, atMs }) => kind === 'look' && atMs > sentMs)
    // That the first was refused proves as much.
    if (looks.some(({ text }) => text === 'refused')) return
    const vain = looks.filter(({ text }) => text === 'empty' || text === 'making')
    if (vain.length < 2) this.#context.violated('I2', `${name} is launched again after ${vain.length} looks`)
    const making = looks.find(({ text }) => text === 'making')
    if (making && looks.at(-1)?.text === 'making' && this.#context.engine.nowMs < making.atMs + MAKING_MAX_MS)
      this.#context.violated('I2', `${name} is launched again while its cluster is being made`)
  }

  /** I14: what an experiment ends is its own, a managed job or one on a cluster. */
  ending(id: number, by: Stray): void {
    const job = this.#jobOf(by.jobId, by.clusterName)
    if (!job) return
    const said = `job ${by.jobId} named ${job.name} is cancelled by ${id} as ${by.jobName}`
    if (job.isForeign && !this.#owners.has(job.jobId))
      this.#context.violated('I14', `${said}, and is somebody else's`)
    if (!job.isForeign && parseJobName(job.name)?.experimentId !== id)
      this.#context.violated('I14', `${said}, and is another experiment's`)
  }

  /** I14: the same of clusters. */
  changing(id: number, clusterName: string): void {
    if (parseClusterName(clusterName)?.experimentId !== id)
      this.#context.violated('I14', `cluster ${clusterName} is changed by ${id}, and is not its own`)
  }

  #jobOf(jobId: number, clusterName: string | null): Job | undefined {
    if (clusterName === null) return this.#sky.jobs.get(jobId)
    return this.#sky.clusters.byName.get(clusterName)?.jobs.find((job) => job.jobId === jobId)
  }

  /** After the world was healed and had time: everything is as it is wanted. */
  atTheEnd(): void {
    for (const { entity } of this.#watched.values()) {
      this.#nothingLost(entity)
      this.#projected(entity)
      this.#converged(entity)
      this.#nothingLeft(entity)
    }
  }

  #nothingLost({ state, sentWishes, takenWishes, isClosed }: Entity): void {
    if (!isClosed && sentWishes !== takenWishes)
      this.#context.violated('I3', `${state.name} was sent ${sentWishes} wishes and took ${takenWishes}`)
  }

  #projected({ state }: Entity): void {
    const row = this.#tables.experiments.get(state.id)
    if (row?.revision !== state.revision || row.headline !== state.told.headline)
      this.#context.violated(
        'I8',
        `row of ${state.name} shows revision ${row?.revision} of ${state.revision}`,
      )
    const { attempt } = state
    const shown = attempt && this.#tables.attempts.get(`${state.id}.${attempt.run}.${attempt.attempt}`)
    if (attempt && shown?.phase !== attempt.progress.phase)
      this.#context.violated(
        'I8',
        `${attempt.jobName} is shown as ${shown?.phase} and is ${attempt.progress.phase}`,
      )
    for (let seq = 1; seq < state.nextSeq; seq += 1)
      if (!this.#tables.events.has(`${state.id}.${seq}`))
        this.#context.violated('I13', `event ${seq} of ${state.name} is lost`)
  }

  #converged({ state, isClosed }: Entity): void {
    if (state.deleted && !isClosed)
      this.#context.violated('I15', `${state.name} is deleted and does not end: ${this.#why(state)}`)
    if (this.#isLaunchingForLong(state.attempt))
      this.#context.violated('I4', `${state.name} hangs: ${this.#why(state)}`)
    if (state.trouble?.kind && !isClosed)
      this.#context.violated('I4', `${state.name} is in trouble: ${this.#why(state)}`)
    if (state.desired.state === 'RUNNING' && state.attempt?.progress.phase === 'active')
      this.#reallyRuns(state)
  }

  #isLaunchingForLong(attempt: Attempt | null): boolean {
    const isOld = attempt !== null && attempt.createdAtMs < this.#context.engine.nowMs - LAUNCH_MAX_MS
    return isOld && (attempt.progress.phase === 'intended' || attempt.progress.phase === 'requested')
  }

  #reallyRuns({ name, attempt }: Experiment): void {
    if (attempt?.progress.phase !== 'active') return
    const { jobId } = attempt.progress
    const job = this.#jobOf(jobId, attempt.clusterName)
    const isLongOver = job?.endedAtMs != null && job.endedAtMs < this.#context.engine.nowMs - TOLD_MAX_MS
    if (!job || isLongOver)
      this.#context.violated(
        'I4',
        `${name} is believed to run job ${jobId}, which is ${job?.status ?? 'gone'}`,
      )
  }

  /** No machine is left that nobody wants and somebody pays for. */
  #nothingLeft({ state }: Entity): void {
    if (state.hold && !state.deleted) return
    const live = this.#jobs(state.id).filter(isLive)
    const isWanted = state.desired.state === 'RUNNING' && !state.deleted
    const kept = state.attempt?.progress.phase === 'active' && isWanted ? state.attempt.progress.jobId : null
    for (const job of live)
      if (job.jobId !== kept)
        this.#context.violated('I4', `job ${job.jobId} of ${job.name} is left running: ${this.#why(state)}`)
    if (!isWanted) this.#noClusterLeft(state)
  }

  #noClusterLeft(state: Experiment): void {
    const cluster = this.#sky.clusters.byName.get(state.cluster?.name ?? `${state.name}-${state.id}`)
    if (!cluster) return
    const mayRest = state.desired.state === 'STOPPED' && !state.deleted
    if (mayRest && (cluster.status === 'STOPPED' || state.cluster?.refused?.verb === 'stop')) return
    this.#context.violated('I4', `cluster ${cluster.name} is left ${cluster.status}: ${this.#why(state)}`)
  }

  #why(state: Experiment): string {
    const { headline, why } = explain(state, this.#context.engine.nowMs)
    return `${state.desired.state}, ${headline}: ${why}`
  }
}

/** An end that SkyPilot told stays. One that was only concluded is corrected by what is seen later. */
const isSameEnd = (before: Verdict | undefined, now: Verdict): boolean =>
  before === undefined ||
  endingOf(before.status) === undefined ||
  (before.outcome === now.outcome && before.status === now.status)
