import type { BuiltCommand } from './build-command.ts'
import { buildCommand } from './build-command.ts'
import { type AttemptIdentity, jobName } from './build-task.ts'
import { LOOKS_EMPTY_MIN, SETTLE_MS } from './decide.ts'
import {
  type Attempt,
  type Experiment,
  liveAttempt,
  type JobView,
  NEVER,
  PAST_KEPT_MAX,
  type Progress,
  record,
  type Verdict,
} from './experiment.ts'
import { endingOf, exitCodeIn, sayVerdict } from './job-status.ts'

/** What SkyPilot's queue shows of one job. */
export interface Observation {
  jobId: number
  jobName: string
  status: string
  /** Resources are free only at DONE, which comes some seconds after the terminal status. */
  scheduleState: string | null
  details: string | null
  failureReason: string | null
  submittedAtMs: number | null
  startedAtMs: number | null
  endedAtMs: number | null
  recoveries: number
  seenAtMs: number
}

/** Something learned about the world. Carries all that is needed to believe it. */
export type Fact =
  | { kind: 'launchIntended'; atMs: number }
  | { kind: 'launchRequested'; requestId: string; atMs: number }
  | { kind: 'launchUnsure'; reason: string; atMs: number }
  | { kind: 'launchRefused'; reason: string; atMs: number }
  | { kind: 'lookedEmpty'; atMs: number }
  | { kind: 'jobFound'; jobId: number; atMs: number }
  | { kind: 'cancelAsked'; jobId: number; atMs: number }
  | { kind: 'observed'; identity: AttemptIdentity; observation: Observation }
  | { kind: 'vanished'; jobId: number; jobName: string; atMs: number }
  | { kind: 'actionFailed'; action: string; reason: string; atMs: number }
  | { kind: 'projected'; revision: number; lastSeq: number }

const RETRY_BASE_MS = 2_000
const RETRY_MAX_MS = 60_000
const SYSTEM = 'skydeck'

/** Takes a fact into the state. Total: a fact that no longer fits changes nothing. */
export function evolve(state: Experiment, fact: Fact): Experiment {
  switch (fact.kind) {
    case 'launchIntended':
      return intend(state, fact.atMs)
    case 'launchRequested':
      return launchRequested(state, fact.requestId, fact.atMs)
    case 'launchUnsure':
      return launchUnsure(state, fact.reason, fact.atMs)
    case 'launchRefused':
      return launchRefused(state, fact.reason, fact.atMs)
    case 'lookedEmpty':
      return lookedEmpty(state, fact.atMs)
    case 'jobFound':
      return jobFound(state, fact.jobId, fact.atMs)
    case 'cancelAsked':
      return cancelAsked(state, fact.jobId, fact.atMs)
    case 'observed':
      return observed(state, fact.identity, fact.observation)
    case 'vanished':
      return vanished(state, fact.jobId, fact.atMs)
    case 'actionFailed':
      return failed(state, fact)
    case 'projected':
      return projected(state, fact.revision, fact.lastSeq)
  }
}

const calm = (state: Experiment): Experiment => (state.trouble === null ? state : { ...state, trouble: null })

function log(state: Experiment, atMs: number, kind: string, text: string): Experiment {
  const { attempt } = state
  const detail = attempt ? { run: attempt.run, attempt: attempt.attempt } : {}
  return record(state, { atMs, kind, actor: SYSTEM, text, detail })
}

/** Replaces the progress of the current attempt, and says so in the log. */
function step(state: Experiment, atMs: number, kind: string, text: string, progress: Progress): Experiment {
  if (!state.attempt) return state
  const next = log(calm(state), atMs, kind, text)
  return { ...next, attempt: { ...state.attempt, progress, changedAt: next.revision } }
}

/** The same without a line in the log, for news that only refresh what is known. */
function refresh(state: Experiment, attempt: Attempt, progress: Progress): Experiment {
  const revision = state.revision + 1
  return { ...state, revision, attempt: { ...attempt, progress, changedAt: revision } }
}

function intend(state: Experiment, atMs: number): Experiment {
  if (state.run === 0 || liveAttempt(state)) return state
  const sameRun = state.attempt?.run === state.run
  const attempt = sameRun ? (state.attempt?.attempt ?? 0) + 1 : 1
  const identity = { experimentId: state.id, name: state.name, run: state.run, attempt }
  const command: BuiltCommand = buildCommand(state.name, state.spec)
  const past = state.attempt ? [...state.past, state.attempt].slice(-PAST_KEPT_MAX) : state.past
  const fresh: Attempt = {
    run: state.run,
    attempt,
    jobName: jobName(identity),
    specRevision: state.specRevision,
    command: command.line,
    createdAtMs: atMs,
    progress: { phase: 'intended', looksEmpty: 0, unsure: false },
    changedAt: state.revision + 1,
  }
  return log({ ...state, past, attempt: fresh }, atMs, 'launch-intended', `launching as ${fresh.jobName}`)
}

function end(state: Experiment, verdict: Verdict): Experiment {
  const { attempt } = state
  if (!attempt || attempt.progress.phase === 'ended') return state
  const { progress } = attempt
  const active = progress.phase === 'active' ? progress : null
  const kept = active?.verdict ?? verdict
  return step(state, verdict.atMs, 'ended', sayVerdict(kept), {
    phase: 'ended',
    jobId: active?.jobId ?? null,
    job: active?.job ?? null,
    verdict: kept,
  })
}

function launchRequested(state: Experiment, requestId: string, atMs: number): Experiment {
  if (state.attempt?.progress.phase !== 'intended') return state
  const text = `SkyPilot took the launch as request ${requestId}`
  return step(state, atMs, 'launch-requested', text, { phase: 'requested', requestId })
}

function launchUnsure(state: Experiment, reason: string, atMs: number): Experiment {
  if (!isBeforeJob(state.attempt)) return state
  const next = step(state, atMs, 'launch-unsure', reason, { phase: 'intended', looksEmpty: 0, unsure: true })
  // Trouble stays: it counts the failures, and with them grows the time until the next try.
  return { ...next, trouble: state.trouble }
}

function launchRefused(state: Experiment, reason: string, atMs: number): Experiment {
  if (!isBeforeJob(state.attempt)) return state
  return end(state, {
    outcome: 'never-started',
    blame: 'infrastructure',
    status: 'REFUSED',
    exitCode: null,
    reason,
    atMs,
  })
}

const isBeforeJob = (attempt: Attempt | null): boolean =>
  attempt?.progress.phase === 'intended' || attempt?.progress.phase === 'requested'

function lookedEmpty(state: Experiment, atMs: number): Experiment {
  const { attempt } = state
  if (attempt?.progress.phase !== 'intended') return state
  const looksEmpty = attempt.progress.looksEmpty + 1
  if (looksEmpty >= LOOKS_EMPTY_MIN)
    return end(state, {
      outcome: 'never-started',
      blame: 'none',
      status: 'NEVER_STARTED',
      exitCode: null,
      reason: 'stopped before anything was started',
      atMs,
    })
  const again = refresh(state, attempt, { ...attempt.progress, looksEmpty })
  return {
    ...again,
    trouble: {
      action: 'look',
      reason: 'nothing found yet, looking once more',
      failures: 0,
      retryAtMs: atMs + SETTLE_MS,
    },
  }
}

/** A job that is known to exist and was not looked at yet: any look at it is newer, also one that began earlier. */
const unseen = (atMs: number): JobView => ({
  status: 'PENDING',
  details: null,
  submittedAtMs: atMs,
  startedAtMs: null,
  endedAtMs: null,
  recoveries: 0,
  seenAtMs: NEVER,
})

function jobFound(state: Experiment, jobId: number, atMs: number): Experiment {
  if (!isBeforeJob(state.attempt)) return state
  return step(state, atMs, 'job', `job ${jobId} exists`, {
    phase: 'active',
    jobId,
    job: unseen(atMs),
    cancelAskedAtMs: null,
    verdict: null,
  })
}

function cancelAsked(state: Experiment, jobId: number, atMs: number): Experiment {
  if (state.strays.includes(jobId)) {
    const strays = state.strays.filter((id) => id !== jobId)
    return log(
      calm({ ...state, strays }),
      atMs,
      'stray-cancelled',
      `asked SkyPilot to cancel the second job ${jobId}`,
    )
  }
  const progress = state.attempt?.progress
  if (progress?.phase !== 'active' || progress.jobId !== jobId) return state
  return step(state, atMs, 'cancel-asked', `asked SkyPilot to cancel job ${jobId}`, {
    ...progress,
    cancelAskedAtMs: atMs,
  })
}

function observed(state: Experiment, identity: AttemptIdentity, seen: Observation): Experiment {
  const { attempt } = state
  if (attempt?.progress.phase === 'active') {
    if (attempt.progress.jobId === seen.jobId) return follow(state, attempt, attempt.progress, seen)
    return endingOf(seen.status) ? state : stray(state, attempt, attempt.progress, seen)
  }
  const ours = attempt !== null && attempt.progress.phase !== 'ended' && attempt.jobName === seen.jobName
  if (ours) return take(jobFound(state, seen.jobId, seen.seenAtMs), seen)
  return endingOf(seen.status) ? state : adopt(state, identity, seen)
}

/** Takes the details of a job that was just found. */
function take(state: Experiment, seen: Observation): Experiment {
  const { attempt } = state
  return attempt?.progress.phase === 'active' ? follow(state, attempt, attempt.progress, seen) : state
}

type Active = Extract<Progress, { phase: 'active' }>

const viewOf = (before: JobView, seen: Observation): JobView => ({
  status: seen.status,
  details: seen.details,
  submittedAtMs: seen.submittedAtMs ?? before.submittedAtMs,
  startedAtMs: seen.startedAtMs ?? before.startedAtMs,
  endedAtMs: seen.endedAtMs ?? before.endedAtMs,
  recoveries: Math.max(seen.recoveries, before.recoveries),
  seenAtMs: seen.seenAtMs,
})

function follow(state: Experiment, attempt: Attempt, active: Active, seen: Observation): Experiment {
  if (seen.seenAtMs < active.job.seenAtMs) return state
  const ending = endingOf(seen.status)
  const verdict: Verdict | null =
    active.verdict ??
    (ending
      ? {
          ...ending,
          status: seen.status,
          exitCode: exitCodeIn(seen.status, seen.failureReason),
          reason: seen.failureReason,
          atMs: seen.endedAtMs ?? seen.seenAtMs,
        }
      : null)
  const progress: Active = { ...active, job: viewOf(active.job, seen), verdict }
  const refreshed = refresh(calm(state), attempt, progress)
  if (verdict && seen.scheduleState === 'DONE') return end(refreshed, verdict)
  if (seen.status === active.job.status) return refreshed
  return log(refreshed, seen.seenAtMs, 'observed', `job ${seen.jobId}: ${active.job.status} → ${seen.status}`)
}

/** A second live job with our name: the older is kept, the younger cancelled, and an incident is written. */
function stray(state: Experiment, attempt: Attempt, active: Active, seen: Observation): Experiment {
  if (state.strays.includes(seen.jobId)) return state
  const keepsOurs = active.jobId < seen.jobId
  const young = keepsOurs ? seen.jobId : active.jobId
  const text = `two live jobs, ${active.jobId} and ${seen.jobId}: keeping the older, cancelling ${young}`
  const next = log({ ...state, strays: [...state.strays, young] }, seen.seenAtMs, 'incident', text)
  if (keepsOurs) return next
  return refresh(next, attempt, { ...active, jobId: seen.jobId, job: viewOf(unseen(seen.seenAtMs), seen) })
}

/** A live job that carries our name while nothing of ours is live: it is ours from now on. */
function adopt(state: Experiment, identity: AttemptIdentity, seen: Observation): Experiment {
  if (identity.experimentId !== state.id) return state
  const last = state.attempt?.progress
  // A job that has ended never lives again: this is an old look that comes late.
  if (last && (last.phase !== 'ended' || last.jobId === seen.jobId)) return state
  const past = state.attempt ? [...state.past, state.attempt].slice(-PAST_KEPT_MAX) : state.past
  const adopted: Attempt = {
    run: identity.run,
    attempt: identity.attempt,
    jobName: seen.jobName,
    specRevision: state.specRevision,
    command: '',
    createdAtMs: seen.submittedAtMs ?? seen.seenAtMs,
    progress: {
      phase: 'active',
      jobId: seen.jobId,
      job: unseen(seen.seenAtMs),
      cancelAskedAtMs: null,
      verdict: null,
    },
    changedAt: state.revision + 1,
  }
  const run = Math.max(state.run, identity.run)
  return take(
    log(
      { ...state, run, past, attempt: adopted },
      seen.seenAtMs,
      'adopted',
      `adopted job ${seen.jobId}, which carries this experiment's name`,
    ),
    seen,
  )
}

function vanished(state: Experiment, jobId: number, atMs: number): Experiment {
  const progress = state.attempt?.progress
  if (progress?.phase !== 'active' || progress.jobId !== jobId) return state
  return end(state, {
    outcome: 'failed',
    blame: 'infrastructure',
    status: 'GONE',
    exitCode: null,
    reason: 'SkyPilot no longer knows the job',
    atMs,
  })
}

function failed(state: Experiment, fact: Extract<Fact, { kind: 'actionFailed' }>): Experiment {
  const failures = (state.trouble?.failures ?? 0) + 1
  const retryAtMs = fact.atMs + Math.min(RETRY_BASE_MS * 2 ** (failures - 1), RETRY_MAX_MS)
  const trouble = { action: fact.action, reason: fact.reason, failures, retryAtMs }
  return log({ ...state, trouble }, fact.atMs, 'action-failed', `${fact.action} failed: ${fact.reason}`)
}

/** Postgres has everything up to here: forget what was kept for it. */
function projected(state: Experiment, revision: number, lastSeq: number): Experiment {
  return {
    ...state,
    projected: Math.max(state.projected, revision),
    events: state.events.filter((event) => event.seq > lastSeq),
    past: state.past.filter((attempt) => attempt.changedAt > revision),
  }
}
