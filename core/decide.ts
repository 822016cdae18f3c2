import { type Attempt, type Experiment, liveAttempt, isRunOver } from './experiment.ts'
import { sayVerdict } from './job-status.ts'

/** A cancel that SkyPilot took but that shows no effect is asked for again after this time. */
export const CANCEL_REPEAT_MS = 30_000

/** Between two looks for a launch that may have happened: what is in flight must have time to show itself. */
export const SETTLE_MS = 3_000

/** Looks that must find nothing before an unsure launch counts as never made. */
export const LOOKS_EMPTY_MIN = 2

/** One step towards the desired state. `why` is shown to people, so it is part of the contract. */
export type Action = { why: string } & (
  | { kind: 'launch' }
  | { kind: 'follow'; requestId: string }
  | { kind: 'abort'; requestId: string }
  | { kind: 'look' }
  | { kind: 'cancel'; jobId: number }
  | { kind: 'wait'; forMs: number | null }
  | { kind: 'finish' }
)

const wait = (why: string, forMs: number | null = null): Action => ({ kind: 'wait', forMs, why })

/**
 * Picks the next action from state and clock alone, with no memory of which event woke us.
 * It is asked again after every change, so each answer needs to be right only for this instant.
 */
export function decide(state: Experiment, nowMs: number): Action {
  if (state.trouble && nowMs < state.trouble.retryAtMs)
    return wait(
      `${state.trouble.action} failed, trying again: ${state.trouble.reason}`,
      state.trouble.retryAtMs - nowMs,
    )
  const stray = state.strays[0]
  if (stray !== undefined)
    return {
      kind: 'cancel',
      jobId: stray,
      why: `a second job ${stray} of this experiment was seen; the older one is kept`,
    }
  const live = liveAttempt(state)
  if (live) return decideLive(state, live, nowMs)
  return decideIdle(state)
}

function decideIdle(state: Experiment): Action {
  if (state.deleted) return { kind: 'finish', why: 'deleted' }
  const last = state.attempt?.progress
  switch (state.desired.state) {
    case 'STOPPED':
      return wait(state.attempt === null ? 'never started' : sayStopped(state))
    case 'TERMINATED':
      return wait('terminated')
    case 'RUNNING':
      if (isRunOver(state)) return wait(last?.phase === 'ended' ? sayVerdict(last.verdict) : 'over')
      return { kind: 'launch', why: 'starting: nothing is running yet' }
  }
}

/** Who stopped it and why, where that is what ended the last run; else how the last run ended. */
function sayStopped(state: Experiment): string {
  const last = state.attempt?.progress
  if (
    last?.phase === 'ended' &&
    last.verdict.outcome !== 'cancelled' &&
    last.verdict.outcome !== 'never-started'
  )
    return `stopped; the last run: ${sayVerdict(last.verdict)}`
  const { actor, reason } = state.desired
  return `stopped by ${actor}${reason === null ? '' : `: ${reason}`}`
}

function decideLive(state: Experiment, attempt: Attempt, nowMs: number): Action {
  const unwanted = whyUnwanted(state, attempt)
  const { progress } = attempt
  switch (progress.phase) {
    case 'intended':
      return unwanted
        ? { kind: 'look', why: `${unwanted}; making sure that nothing was started` }
        : { kind: 'launch', why: 'asking SkyPilot to launch' }
    case 'requested': {
      const { requestId } = progress
      return unwanted
        ? { kind: 'abort', requestId, why: `${unwanted}; aborting the launch` }
        : { kind: 'follow', requestId, why: 'SkyPilot is preparing the job' }
    }
    case 'active':
      return decideActive(progress, unwanted, nowMs)
    case 'ended':
      return wait('over')
  }
}

type Active = Extract<Attempt['progress'], { phase: 'active' }>

function decideActive(active: Active, unwanted: string | undefined, nowMs: number): Action {
  const { jobId, verdict, cancelAskedAtMs, job } = active
  if (verdict) return wait(`${sayVerdict(verdict)}; SkyPilot is cleaning up`)
  if (unwanted === undefined) return wait(sayLive(job.status, job.details))
  if (cancelAskedAtMs === null) return { kind: 'cancel', jobId, why: `stopping: ${unwanted}` }
  const dueInMs = cancelAskedAtMs + CANCEL_REPEAT_MS - nowMs
  return dueInMs > 0
    ? wait('stopping: SkyPilot was asked to cancel the job', dueInMs)
    : { kind: 'cancel', jobId, why: 'stopping: the job is still there, asking again' }
}

/** Says why the job we may have is not the one we should have. */
function whyUnwanted(state: Experiment, attempt: Attempt): string | undefined {
  if (state.deleted) return 'the experiment is being deleted'
  if (state.desired.state !== 'RUNNING') return `${state.desired.state} is wanted`
  return attempt.run < state.run ? 'a newer run replaces it' : undefined
}

/** SkyPilot's live statuses in plain words. An unknown word is shown as it is. */
export function sayLive(status: string, details: string | null): string {
  const extra = details ? ` (${details.split('\n', 1)[0]})` : ''
  switch (status) {
    case 'PENDING':
    case 'SUBMITTED':
      return `waiting for SkyPilot to start it${extra}`
    case 'STARTING':
      return `starting${extra}`
    case 'RUNNING':
      return 'running'
    case 'RECOVERING':
      return `recovering: its machine was lost${extra}`
    case 'CANCELLING':
      return 'being cancelled'
    default:
      return `SkyPilot says ${status}${extra}`
  }
}
