import { SETTLE_MS } from '../../core/action.ts'
import { endingOf } from '../../core/job-status.ts'
import type { ClusterObservation } from '../../core/facts.ts'
import type { ClusterVerb, Refusal, Stray } from '../../core/experiment.ts'
import { type Context, note, SkyError } from './context.ts'
import type { Steps } from './engine.ts'
import type { RequestKind, SkyPilot } from './skypilot.ts'
import type { SimCluster } from './clusters.ts'
import type { Attempt } from './temporal.ts'

export type LaunchOutcome =
  | { kind: 'requested'; requestId: string }
  | { kind: 'found'; jobId: number }
  | { kind: 'refused'; reason: string; exceptionName: string | null }
  | { kind: 'unsure'; reason: string; isForgotten: boolean; refusal?: Refusal }
  | { kind: 'making' }
  | { kind: 'empty' }

type Found = Exclude<LaunchOutcome, { kind: 'making' }> | { kind: 'making'; byRequest: boolean }

export interface LaunchOrder {
  how: 'job' | 'cluster' | 'exec'
  name: string
  clusterName: string | null
  unsureBefore: boolean
  waitsForMaking: boolean
}

export type ClusterLook =
  | { kind: 'seen'; cluster: ClusterObservation }
  | { kind: 'absent'; seenAtMs: number }
  | { kind: 'busy' }

const MAKERS: ReadonlySet<RequestKind> = new Set<RequestKind>(['launch', 'start', 'exec'])
const AT_REST: ReadonlySet<string> = new Set(['STOPPED', 'AUTOSTOPPING'])
const FOLLOW_EVERY_MS = 2_000
/** A launch may lie in some buffer for so long and come all the same: looks cannot see it there. */
const LAUNCH_LATE_MAX_MS = 20_000

export const clusterObservation = (cluster: SimCluster, seenAtMs: number): ClusterObservation => ({
  name: cluster.name,
  status: cluster.status,
  reason: null,
  launchedAtMs: cluster.launchedAtMs,
  autostopMinutes: cluster.autostopMinutes,
  seenAtMs,
})

const isGone = (error: unknown): boolean =>
  error instanceof SkyError && error.exceptionName === 'ClusterDoesNotExist'

/** The logic of `activities/`, step for step, on the simulated SkyPilot. */
export class Activities {
  readonly #context: Context
  readonly #sky: SkyPilot
  /** Called right before a launch is sent. */
  onPost: (order: LaunchOrder, attempt: Attempt) => void = () => undefined
  /** Called right before a cancel is sent. */
  onCancel: (job: Stray) => void = () => undefined
  /** Called right before a cluster is started, stopped, taken down, or given its autostop. */
  onChange: (clusterName: string) => void = () => undefined

  constructor(context: Context, sky: SkyPilot) {
    this.#context = context
    this.#sky = sky
  }

  *find(name: string, clusterName: string | null): Steps<Found> {
    const found =
      clusterName === null ? yield* this.#findManaged(name) : yield* this.#findOn(name, clusterName)
    note(this.#context, { kind: 'look', name, text: found.kind })
    return found
  }

  *#findManaged(name: string): Steps<Found> {
    const sky = this.#sky
    const request = yield* sky.call(() =>
      sky.active().find((each) => each.kind === 'jobs.launch' && each.jobName === name),
    )
    if (request) return { kind: 'requested', requestId: request.id }
    const ours = yield* sky.call(() => [...sky.jobs.values()].filter((job) => job.name === name))
    const best = ours.find((job) => !endingOf(job.status)) ?? ours[0]
    return best ? { kind: 'found', jobId: best.jobId } : { kind: 'empty' }
  }

  *#findOn(name: string, clusterName: string): Steps<Found> {
    const sky = this.#sky
    const active = yield* sky.call(() => sky.active().filter((each) => each.clusterName === clusterName))
    const request = active.find((each) => each.jobName === name)
    if (request) return { kind: 'requested', requestId: request.id }
    if (active.some(({ kind }) => MAKERS.has(kind))) return this.#making(true)
    const status = yield* sky.call(() => sky.clusters.byName.get(clusterName)?.status)
    if (status === undefined || AT_REST.has(status)) return { kind: 'empty' }
    if (status !== 'UP') return this.#making(false)
    try {
      const jobs = yield* sky.call(() =>
        sky.clusters.jobsOn(clusterName).map(({ jobId, name: jobName }) => ({ jobId, jobName })),
      )
      const oldest = jobs.find((job) => job.jobName === name)
      return oldest ? { kind: 'found', jobId: oldest.jobId } : { kind: 'empty' }
    } catch (error) {
      const exceptionName = error instanceof SkyError ? error.exceptionName : null
      if (exceptionName === 'ClusterDoesNotExist') return { kind: 'empty' }
      if (exceptionName === 'ClusterNotUpError') return this.#making(false)
      throw error
    }
  }

  #making(byRequest: boolean): Found {
    return this.#context.protections.waitForMaking ? { kind: 'making', byRequest } : { kind: 'empty' }
  }

  *launch(order: LaunchOrder, attempt: Attempt): Steps<LaunchOutcome> {
    const { name, clusterName, how } = order
    if (this.#context.protections.lookBeforeLaunch) {
      const isRepetition = order.unsureBefore || attempt.number > 1
      const isSign = (found: Found): boolean =>
        found.kind === 'making'
          ? order.waitsForMaking && (isRepetition || found.byRequest)
          : found.kind !== 'empty'
      const before = yield* this.find(name, clusterName)
      if (isSign(before)) return before
      if (isRepetition) {
        yield SETTLE_MS
        const again = yield* this.find(name, clusterName)
        if (isSign(again)) return again
      }
    }
    this.onPost(order, attempt)
    const sky = this.#sky
    const requestId = yield* sky.call(() => {
      if (how === 'job' || clusterName === null) return sky.launchJob(name)
      return sky.launchOnCluster(how === 'exec' ? 'exec' : 'launch', clusterName, name)
    }, LAUNCH_LATE_MAX_MS)
    return { kind: 'requested', requestId }
  }

  *follow(requestId: string, clusterName: string | null): Steps<LaunchOutcome> {
    for (;;) {
      const outcome = yield* this.#askOnce(requestId)
      if (outcome?.kind === 'refused' && clusterName !== null) return this.#doubted(outcome)
      if (outcome) return outcome
      yield FOLLOW_EVERY_MS
    }
  }

  #doubted(refused: Extract<LaunchOutcome, { kind: 'refused' }>): LaunchOutcome {
    const { reason, exceptionName } = refused
    return exceptionName === 'CommandError' && this.#context.protections.failureDoubted
      ? { kind: 'unsure', reason, isForgotten: false, refusal: { reason, exceptionName } }
      : refused
  }

  *#askOnce(requestId: string): Steps<LaunchOutcome | undefined> {
    try {
      const answer = yield* this.#sky.call(() => this.#sky.answer(requestId))
      if (!answer) return undefined
      return answer.jobId === null
        ? { kind: 'unsure', reason: 'launched but named no job', isForgotten: false }
        : { kind: 'found', jobId: answer.jobId }
    } catch (error) {
      if (!(error instanceof SkyError)) throw error
      return this.#whatItMeans(error)
    }
  }

  #whatItMeans(error: SkyError): LaunchOutcome | undefined {
    switch (error.kind) {
      case 'timeout':
        return undefined
      case 'rejected':
        return { kind: 'refused', reason: error.message, exceptionName: error.exceptionName }
      case 'not-found':
        return {
          kind: 'unsure',
          reason: 'SkyPilot forgot the launch request',
          isForgotten: this.#context.protections.settleAfterForgotten,
        }
      case 'cancelled':
        return { kind: 'unsure', reason: 'the launch request was cancelled', isForgotten: false }
      default:
        throw error
    }
  }

  *abort(requestId: string): Steps<boolean> {
    return yield* this.#sky.call(() => this.#sky.abort(requestId))
  }

  *cancel(job: Stray): Steps<null> {
    const { jobId, clusterName } = job
    this.onCancel(job)
    try {
      yield* this.#sky.call(() => this.#sky.cancelJob(jobId, clusterName))
    } catch (error) {
      if (!isGone(error)) throw error
    }
    return null
  }

  *isJobOver(jobId: number, clusterName: string | null): Steps<boolean> {
    const sky = this.#sky
    const isOver = (job: { status: string } | undefined): boolean =>
      job === undefined || endingOf(job.status) !== undefined
    if (clusterName === null) return isOver(yield* sky.call(() => sky.jobs.get(jobId)))
    try {
      const jobs = yield* sky.call(() => sky.clusters.jobsOn(clusterName))
      return isOver(jobs.find((job) => job.jobId === jobId))
    } catch (error) {
      if (isGone(error)) return true
      throw error
    }
  }

  *changeCluster(
    verb: ClusterVerb,
    name: string,
  ): Steps<{ refusal: string | null; askedAtMs: number; look: ClusterLook }> {
    this.onChange(name)
    const refusal = yield* this.#refusalOf(() => this.#sky.change(verb, name))
    const askedAtMs = this.#context.engine.nowMs
    const look = yield* this.lookAtCluster(name)
    return { refusal, askedAtMs, look }
  }

  *setAutostop(name: string, minutes: number | null): Steps<string | null> {
    this.onChange(name)
    return yield* this.#refusalOf(() => this.#sky.autostop(name, minutes))
  }

  /** Asks, waits until that is done, and gives SkyPilot's refusal if there is one. */
  *#refusalOf(ask: () => string): Steps<string | null> {
    try {
      const id = yield* this.#sky.call(ask)
      for (;;) {
        const answer = yield* this.#answerOf(id)
        if (answer) return null
        yield FOLLOW_EVERY_MS
      }
    } catch (error) {
      if (!(error instanceof SkyError) || error.kind !== 'rejected') throw error
      return error.exceptionName === 'ClusterDoesNotExist' ? null : error.message
    }
  }

  *#answerOf(id: string): Steps<{ jobId: number | null } | undefined> {
    try {
      return yield* this.#sky.call(() => this.#sky.answer(id))
    } catch (error) {
      if (error instanceof SkyError && error.kind === 'timeout') return undefined
      throw error
    }
  }

  *lookAtCluster(name: string): Steps<ClusterLook> {
    const sky = this.#sky
    const seenAtMs = this.#context.engine.nowMs
    const isBusy = yield* sky.call(() =>
      sky
        .active()
        .some((each) => each.clusterName === name && ['launch', 'start', 'exec'].includes(each.kind)),
    )
    const seen = yield* sky.call(() => {
      const cluster = sky.clusters.byName.get(name)
      return cluster && clusterObservation(cluster, seenAtMs)
    })
    if (seen) return { kind: 'seen', cluster: seen }
    return isBusy ? { kind: 'busy' } : { kind: 'absent', seenAtMs }
  }
}
