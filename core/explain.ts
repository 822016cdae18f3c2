import { decide } from './decide.ts'
import type { Experiment, Progress } from './experiment.ts'

/** Where an experiment stands, in one of SkyDeck's own words. SkyPilot's word is shown beside it, never alone. */
export type Phase =
  | 'idle'
  | 'starting'
  | 'waiting'
  | 'running'
  | 'recovering'
  | 'stopping'
  | 'finishing'
  | 'succeeded'
  | 'failed'
  | 'stopped'
  | 'terminated'

export const PHASES: readonly Phase[] = [
  'idle',
  'starting',
  'waiting',
  'running',
  'recovering',
  'stopping',
  'finishing',
  'succeeded',
  'failed',
  'stopped',
  'terminated',
]

export interface Explanation {
  phase: Phase
  /** One sentence for people: why it is as it is. */
  why: string
  /** When something happens next by itself, in ms since the epoch; null when it waits for the world or a person. */
  nextAtMs: number | null
}

/** Says where the experiment stands and why, from the same rules that act on it. Pure. */
export function explain(state: Experiment, nowMs: number): Explanation {
  const action = decide(state, nowMs)
  const nextAtMs = action.kind === 'wait' ? (action.forMs === null ? null : nowMs + action.forMs) : nowMs
  return { phase: phaseOf(state), why: action.why, nextAtMs }
}

export function phaseOf(state: Experiment): Phase {
  const { attempt, desired } = state
  if (attempt && attempt.progress.phase !== 'ended') {
    const unwanted = desired.state !== 'RUNNING' || attempt.run < state.run || state.deleted
    return livePhase(attempt.progress, unwanted)
  }
  if (desired.state === 'TERMINATED') return 'terminated'
  if (desired.state === 'RUNNING' && attempt?.run !== state.run) return 'starting'
  if (attempt === null) return 'idle'
  return attempt.progress.phase === 'ended' ? endPhase(attempt.progress) : 'idle'
}

function livePhase(progress: Exclude<Progress, { phase: 'ended' }>, unwanted: boolean): Phase {
  if (progress.phase === 'active' && progress.verdict) return 'finishing'
  if (unwanted) return 'stopping'
  if (progress.phase !== 'active') return 'starting'
  switch (progress.job.status) {
    case 'RUNNING':
      return 'running'
    case 'RECOVERING':
      return 'recovering'
    case 'PENDING':
    case 'SUBMITTED':
      return 'waiting'
    case 'CANCELLING':
      return 'stopping'
    default:
      return 'starting'
  }
}

function endPhase(progress: Extract<Progress, { phase: 'ended' }>): Phase {
  switch (progress.verdict.outcome) {
    case 'succeeded':
      return 'succeeded'
    case 'failed':
      return 'failed'
    case 'cancelled':
      return 'stopped'
    case 'never-started':
      return progress.verdict.blame === 'none' ? 'stopped' : 'failed'
  }
}
