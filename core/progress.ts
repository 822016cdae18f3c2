import {
  type Attempt,
  type Experiment,
  PAST_KEPT_MAX,
  type Progress,
  record,
  type Verdict,
} from './experiment.ts'
import { sayVerdict } from './job-status.ts'
import { countEnd } from './restart.ts'

/** The actor of what SkyDeck itself does. */
export const SYSTEM = 'skydeck'

/** Forgets that an action failed: something has moved since. */
export const calm = (state: Experiment): Experiment =>
  state.trouble === null ? state : { ...state, trouble: null }

/** Adds a line to the log in SkyDeck's own name, with the attempt that it is about. */
export function log(state: Experiment, atMs: number, kind: string, text: string): Experiment {
  const { attempt } = state
  const detail = attempt ? { run: attempt.run, attempt: attempt.attempt } : {}
  return record(state, { atMs, kind, actor: SYSTEM, text, detail })
}

/** Replaces the progress of the current attempt, and says so in the log. */
export function step(
  state: Experiment,
  { atMs, kind, text }: { atMs: number; kind: string; text: string },
  progress: Progress,
): Experiment {
  if (!state.attempt) return state
  const next = log(calm(state), atMs, kind, text)
  return { ...next, attempt: { ...state.attempt, progress, changedAt: next.revision } }
}

/** The same without a line in the log, for news that only refresh what is known. */
export function refresh(state: Experiment, attempt: Attempt, progress: Progress): Experiment {
  const revision = state.revision + 1
  return { ...state, revision, attempt: { ...attempt, progress, changedAt: revision } }
}

/** Puts a new attempt in the place of the last one, which is kept until Postgres has it. */
export function replaceAttempt(state: Experiment, attempt: Omit<Attempt, 'changedAt'>): Experiment {
  const past = state.attempt ? [...state.past, state.attempt].slice(-PAST_KEPT_MAX) : state.past
  return { ...state, past, attempt: { ...attempt, changedAt: state.revision + 1 } }
}

/** Ends the current attempt. The first verdict is kept. */
export function end(state: Experiment, given: Verdict, overAtMs: number): Experiment {
  const { attempt } = state
  if (!attempt || attempt.progress.phase === 'ended') return state
  const { progress } = attempt
  const active = progress.phase === 'active' ? progress : null
  const verdict = active?.verdict ?? closed(state, attempt, given)
  const ended = {
    phase: 'ended',
    jobId: active?.jobId ?? null,
    job: active?.job ?? null,
    verdict,
    overAtMs,
  } as const
  const counts = attempt.run === state.run ? countEnd(state, ended) : {}
  return step({ ...state, ...counts }, { atMs: overAtMs, kind: 'ended', text: sayVerdict(verdict) }, ended)
}

/** The verdict as people are told it: what a limit brought about is the limit's doing. */
export function closed({ closing, run }: Experiment, attempt: Attempt, verdict: Verdict): Verdict {
  const isOurDoing = verdict.outcome === 'cancelled' || verdict.outcome === 'never-started'
  if (!closing || attempt.run !== run || !isOurDoing) return verdict
  const { status, reason } = closing
  return { ...verdict, outcome: 'failed', blame: 'infrastructure', status, reason }
}
