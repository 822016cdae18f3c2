import type { Step } from '../../core/action.ts'
import type { Experiment, Stray } from '../../core/experiment.ts'
import type { Fact } from '../../core/facts.ts'
import type { Activities, ClusterLook, LaunchOutcome } from './activities.ts'
import { type Context, SkyError } from './context.ts'
import type { Steps } from './engine.ts'
import type { Attempt, Handle, Outcome, Temporal } from './temporal.ts'

const RETRIES = {
  maximumAttempts: 3,
  isFinal: (error: unknown): boolean => error instanceof SkyError && error.kind === 'rejected',
}

function cutShort(action: Step, atMs: number): Fact[] {
  if (action.kind === 'launch') return [{ kind: 'launchUnsure', reason: 'the launch was interrupted', atMs }]
  return action.kind === 'cluster' && action.verb === 'start'
    ? [{ kind: 'clusterAsked', verb: 'start', name: action.name, atMs }]
    : []
}

/** Carries out one action and says what was learned, as `workflows/perform.ts` does. */
export class Performer {
  readonly #context: Context
  readonly #temporal: Temporal
  readonly #activities: Activities

  constructor(context: Context, temporal: Temporal, activities: Activities) {
    this.#context = context
    this.#temporal = temporal
    this.#activities = activities
  }

  perform(state: Experiment, action: Step, onFacts: (facts: Fact[]) => void): Handle {
    return this.#temporal.execute<Fact[]>(
      (attempt) => this.#work(state, action, attempt),
      RETRIES,
      (outcome) => onFacts(this.#factsOf(action, outcome)),
    )
  }

  #factsOf(action: Step, outcome: Outcome<Fact[]>): Fact[] {
    const atMs = this.#context.engine.nowMs
    if (outcome.kind === 'done')
      return outcome.value.map((fact) =>
        'atMs' in fact && fact.kind !== 'clusterAsked' && fact.kind !== 'clusterRefused'
          ? { ...fact, atMs }
          : fact,
      )
    if (outcome.kind === 'cancelled') return cutShort(action, atMs)
    const { error } = outcome
    const errorKind = error instanceof SkyError ? `SkyPilot.${error.kind}` : 'unknown'
    const about = action.kind === 'cancel' ? { job: action.job } : {}
    const { message: reason } = error
    const failed: Fact = { kind: 'actionFailed', action: action.kind, errorKind, reason, ...about, atMs }
    return action.kind === 'launch'
      ? [{ kind: 'launchUnsure', reason: error.message, atMs }, failed]
      : [failed]
  }

  *#standOf({ strays }: Experiment, { jobId, clusterName }: Stray): Steps<{ isOver?: boolean }> {
    const isSecond = strays.some((job) => job.jobId === jobId && job.clusterName === clusterName)
    return isSecond ? { isOver: yield* this.#activities.isJobOver(jobId, clusterName) } : {}
  }

  *#work(state: Experiment, action: Step, attempt: Attempt): Steps<Fact[]> {
    const { jobName, clusterName, progress } = state.attempt ?? {
      jobName: '',
      clusterName: null,
      progress: null,
    }
    switch (action.kind) {
      case 'launch': {
        const unsureBefore = progress?.phase === 'intended' && progress.unsure
        const until = progress?.phase === 'intended' ? progress.makingUntilMs : undefined
        const waitsForMaking = until === undefined || this.#context.engine.nowMs < until
        const order = { how: action.how, name: jobName, clusterName, unsureBefore, waitsForMaking }
        return this.#learned(yield* this.#activities.launch(order, attempt))
      }
      case 'follow':
        return this.#learned(yield* this.#activities.follow(action.requestId, clusterName))
      case 'abort':
        return [
          { kind: 'abortAsked', isForgotten: !(yield* this.#activities.abort(action.requestId)), atMs: 0 },
        ]
      case 'look':
        return this.#learned(yield* this.#activities.find(jobName, clusterName))
      case 'cancel':
        yield* this.#activities.cancel(action.job)
        return [
          { kind: 'cancelAsked', job: action.job, ...(yield* this.#standOf(state, action.job)), atMs: 0 },
        ]
      default:
        return yield* this.#workOnCluster(action)
    }
  }

  *#workOnCluster(action: Extract<Step, { kind: 'cluster' | 'autostop' | 'lookAtCluster' }>): Steps<Fact[]> {
    const { name } = action
    switch (action.kind) {
      case 'cluster': {
        const { verb } = action
        const { refusal, askedAtMs: atMs, look } = yield* this.#activities.changeCluster(verb, name)
        const asked: Fact =
          refusal === null
            ? { kind: 'clusterAsked', verb, name, atMs }
            : { kind: 'clusterRefused', verb, name, reason: refusal, atMs }
        return [asked, ...seen(name, look)]
      }
      case 'autostop': {
        const { minutes } = action
        const refusal = yield* this.#activities.setAutostop(name, minutes)
        return [{ kind: 'autostopAsked', name, minutes, refusal, atMs: 0 }]
      }
      case 'lookAtCluster':
        return seen(name, yield* this.#activities.lookAtCluster(name))
    }
  }

  #learned(outcome: LaunchOutcome): Fact[] {
    const atMs = 0
    switch (outcome.kind) {
      case 'requested':
        return [{ kind: 'launchRequested', requestId: outcome.requestId, atMs }]
      case 'found':
        return [{ kind: 'jobFound', jobId: outcome.jobId, atMs }]
      case 'refused':
        return [{ kind: 'launchRefused', reason: outcome.reason, exceptionName: outcome.exceptionName, atMs }]
      case 'unsure':
        return [{ ...outcome, kind: 'launchUnsure', atMs }]
      case 'making':
        return [{ kind: 'lookedMaking', atMs }]
      case 'empty': {
        const looked: Fact = { kind: 'lookedEmpty', atMs }
        return this.#context.protections.twoLooks ? [looked] : [looked, looked]
      }
    }
  }
}

function seen(name: string, look: ClusterLook): Fact[] {
  switch (look.kind) {
    case 'seen':
      return [{ kind: 'clusterSeen', cluster: look.cluster }]
    case 'absent':
      return [{ kind: 'clusterAbsent', name, seenAtMs: look.seenAtMs }]
    case 'busy':
      return [{ kind: 'clusterBusy', name, atMs: 0 }]
  }
}
