import type { Action } from './action.ts'
import { type Transient, transientOf } from './deadlines.ts'
import { decide, nextStrayMs, whyUnwanted } from './decide.ts'
import { isAside } from './decide-cluster.ts'
import { type Ended, type Experiment, isInDoubt, liveAttempt, type Progress } from './experiment.ts'
import { type Headline, headlineOf, isWindingDown } from './headline.ts'
import { nextLimitMs, sayDuration } from './limits.ts'
import { isBackingOff } from './restart.ts'

/** Where an experiment stands, in one of SkyDeck's own words. SkyPilot's word is shown beside it, never alone. */
export const PHASES = [
  'idle',
  'queued',
  'starting',
  'waiting',
  'running',
  'recovering',
  'backoff',
  'stopping',
  'finishing',
  'succeeded',
  'failed',
  'lost',
  'stopped',
  'terminated',
] as const
export type Phase = (typeof PHASES)[number]

export interface Explanation {
  phase: Phase
  /** Why it is as it is, from a closed list: the first of them that is true. */
  headline: Headline
  /** The same in one sentence for people. */
  why: string
  /** What that rests on, the most telling first. */
  evidence: string[]
  /** What happens next by itself, or what a person can do; null where nothing is left to be said. */
  next: string | null
  /** When something happens next by itself, in ms since the epoch; null when it waits for the world or a person. */
  nextAtMs: number | null
}

/** Says where the experiment stands and why, from the same rules that act on it. Pure. */
export function explain(state: Experiment, nowMs: number): Explanation {
  const action = decide(state, nowMs)
  const passing = transientOf(state)
  const overdue = passing && nowMs >= passing.deadlineMs ? passing : undefined
  return {
    phase: phaseOf(state),
    headline: headlineOf(state, overdue !== undefined),
    why: overdue ? `${action.why}; ${sayOverdue(overdue)}` : action.why,
    evidence: evidenceOf(state),
    next: overdue?.next ?? nextOf(state, action),
    nextAtMs: action.kind === 'wait' ? action.untilMs : nowMs,
  }
}

/** Does not say for how long by now: that changes every second, and this is stored. */
const sayOverdue = ({ name, sinceMs, deadlineMs }: Transient): string =>
  `${name} has lasted longer than ${sayDuration(deadlineMs - sinceMs)}`

/**
 * When the state must be looked at again even if nothing is heard: the time of the action itself, of the next limit,
 * or of the next deadline, whichever is first. Null for never.
 */
export function wakeAtMs(state: Experiment, action: Action, nowMs: number): number | null {
  const times = [
    action.kind === 'wait' ? action.untilMs : null,
    state.hold ? null : nextLimitMs(state),
    state.hold ? null : nextStrayMs(state),
    transientOf(state)?.deadlineMs ?? null,
    state.hold ? null : (state.cluster?.autostopTrouble?.againAtMs ?? null),
    // What is past already has its turn when the action's own time comes.
  ]
    .filter((time) => time !== null)
    .filter((time) => time > nowMs)
  return times.length === 0 ? null : Math.min(...times)
}

function evidenceOf(state: Experiment): string[] {
  const lines = [
    ...ofHandling(state),
    ...ofLaunch(state),
    ...ofJob(state),
    ...ofCluster(state),
    ...ofOthers(state),
  ]
  return lines.map((line) => line.slice(0, EVIDENCE_CHARS_MAX))
}

const because = (reason: string | null): string => (reason === null ? '' : `: ${reason}`)
const aside = (detail: string | null): string => (detail === null ? '' : ` (${detail})`)

function ofHandling({ hold, trouble }: Experiment): string[] {
  const lines = hold ? [`held by ${hold.actor}${because(hold.reason)}`] : []
  return trouble?.kind == null
    ? lines
    : [...lines, `${trouble.action} failed ${trouble.failures} times: ${trouble.reason}`]
}

const ofLaunch = ({ attempt }: Experiment): string[] =>
  attempt?.progress.phase === 'intended' && attempt.progress.refusal ? [attempt.progress.refusal.reason] : []

function ofJob({ attempt }: Experiment): string[] {
  const progress = attempt?.progress
  if (progress?.phase !== 'active' && progress?.phase !== 'ended') return []
  const { job, jobId } = progress
  const lines = job ? [`job ${jobId}: ${job.status}${aside(job.details)}`] : []
  const reason = progress.verdict?.reason ?? null
  return reason === null ? lines : [...lines, reason]
}

function ofCluster({ cluster }: Experiment): string[] {
  if (!cluster) return []
  const { name, status, reason, refused, autostopRefusal, autostopTrouble } = cluster
  const lines = [
    `cluster ${name}: ${status ?? 'not seen yet'}${aside(reason)}`,
    refused ? `SkyPilot refuses to ${refused.verb} it: ${refused.reason}` : null,
    autostopRefusal === null ? null : `it does not stop itself when idle: ${autostopRefusal}`,
    autostopTrouble ? `when it stops itself could not be set: ${autostopTrouble.reason}` : null,
  ]
  return lines.filter((line) => line !== null)
}

const ofOthers = ({ foreign }: Experiment): string[] =>
  foreign.map(({ jobId, jobName }) => `job ${jobId} named ${jobName} is somebody else's`)

const EVIDENCE_CHARS_MAX = 500

function nextOf(state: Experiment, action: Action): string | null {
  switch (action.kind) {
    case 'wait':
      return nextOfWaiting(state)
    case 'finish':
      return null
    case 'conclude':
      return 'the run is closed'
    case 'launch':
      return 'SkyPilot is asked to launch it'
    case 'follow':
    case 'look':
    case 'lookAtCluster':
      return 'SkyDeck goes by what SkyPilot answers'
    case 'abort':
    case 'cancel':
    case 'cluster':
    case 'autostop':
      return 'SkyDeck asks until it shows effect'
  }
}

function nextOfWaiting(state: Experiment): string | null {
  if (state.hold) return 'release it, and SkyDeck goes on'
  if (state.trouble) return 'SkyDeck tries again by itself'
  if (isBackingOff(state)) return 'it is started again by itself'
  if (state.cluster?.refused && isAside(state, state.cluster))
    return 'its former cluster is still there and may cost money: SkyPilot refuses to end it'
  if (liveAttempt(state)) return null
  if (state.cluster && state.cluster.status !== 'STOPPED')
    return 'its cluster is still there: terminate it when you need it no more'
  if (state.desired.state !== 'RUNNING') return null
  return isLost(state)
    ? 'nobody saw it end: look at its machines before you run it again'
    : 'run it again when you like'
}

const isLost = ({ attempt }: Experiment): boolean =>
  attempt?.progress.phase === 'ended' && attempt.progress.verdict.outcome === 'lost'

export function phaseOf(state: Experiment): Phase {
  const live = liveAttempt(state)
  if (live && live.progress.phase !== 'ended')
    return livePhase(live.progress, whyUnwanted(state, live) !== undefined)
  if (isWindingDown(state)) return 'stopping'
  if (state.desired.state === 'TERMINATED') return 'terminated'
  if (state.desired.state === 'RUNNING' && state.attempt?.run !== state.run) return phaseBeforeFirst(state)
  return isBackingOff(state) ? 'backoff' : restPhase(state)
}

/** The run is wanted and nothing of it was launched yet. */
function phaseBeforeFirst({ closing }: Experiment): Phase {
  if (closing === null) return 'starting'
  return closing.status === 'LIMIT' ? 'failed' : 'idle'
}

/** What was deleted and brought back knows that it ran, and no more. */
function restPhase({ attempt, run }: Experiment): Phase {
  if (attempt?.progress.phase === 'ended') return endPhase(attempt.progress)
  return run === 0 ? 'idle' : 'stopped'
}

function livePhase(progress: Exclude<Progress, { phase: 'ended' }>, unwanted: boolean): Phase {
  if (progress.phase === 'active' && progress.verdict) return 'finishing'
  if (unwanted) return 'stopping'
  switch (progress.phase) {
    case 'intended':
      return isInDoubt(progress) ? 'starting' : 'queued'
    case 'requested':
      return 'starting'
    case 'active':
      return Object.hasOwn(PHASE_OF_STATUS, progress.job.status)
        ? (PHASE_OF_STATUS[progress.job.status] ?? 'starting')
        : 'starting'
  }
}

/** SkyPilot's live statuses. A word that is not here is a job on its way. */
const PHASE_OF_STATUS: Readonly<Record<string, Phase>> = {
  RUNNING: 'running',
  RECOVERING: 'recovering',
  PENDING: 'waiting',
  SUBMITTED: 'waiting',
  INIT: 'waiting',
  CANCELLING: 'stopping',
}

function endPhase({ verdict }: Ended): Phase {
  switch (verdict.outcome) {
    case 'succeeded':
      return 'succeeded'
    case 'failed':
      return 'failed'
    case 'cancelled':
      return 'stopped'
    case 'lost':
      return 'lost'
    case 'never-started':
      return verdict.blame === 'none' ? 'stopped' : 'failed'
  }
}
