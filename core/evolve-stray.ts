import {
  type Active,
  type Attempt,
  type Experiment,
  NEVER,
  type SecondJob,
  type Stray,
} from './experiment.ts'
import type { Observation } from './facts.ts'
import { unseen, viewOf } from './job-view.ts'
import { calm, log, refresh } from './progress.ts'

const secondJob = ({ jobId, jobName, clusterName }: Stray): SecondJob => ({
  jobId,
  jobName,
  clusterName,
  asks: 0,
  askedAtMs: NEVER,
})

export const isSame = (one: Stray, other: Pick<Stray, 'jobId' | 'clusterName'>): boolean =>
  one.jobId === other.jobId && one.clusterName === other.clusterName

/**
 * A second live job of ours. Of two jobs of one attempt the one that runs is kept, for it has the lease, else the older;
 * a job of another attempt than the present one was believed to be over. Either way an incident is written, and the
 * other one is cancelled.
 */
export function stray(state: Experiment, attempt: Attempt, active: Active, seen: Observation): Experiment {
  const other = secondJob(seen)
  if (state.strays.some((known) => isSame(known, other))) return state
  const ours = secondJob({ jobId: active.jobId, jobName: attempt.jobName, clusterName: attempt.clusterName })
  const isTwin = isTwinOf(attempt, other)
  // Where the known one has its verdict, the attempt is settled, and every other is one too many.
  const isOursToGo = isTwin && active.verdict === null && isBetter(seen, active)
  // At the fence one of two that both run leaves by itself: only after that is it known which of them holds the lease.
  const mayLeave = isTwin && attempt.isFenced === true && isRunning(seen) && isRunning(active.job)
  const spare = { ...(isOursToGo ? ours : other), askedAtMs: mayLeave ? seen.seenAtMs : NEVER }
  const text = `two live jobs, ${active.jobId} and ${seen.jobId}: cancelling ${spare.jobId}`
  const next = log({ ...state, strays: [...state.strays, spare] }, seen.seenAtMs, 'incident', text)
  if (!isOursToGo) return next
  return refresh(next, attempt, { ...active, jobId: seen.jobId, job: viewOf(unseen(seen.seenAtMs), seen) })
}

const isTwinOf = ({ jobName, clusterName }: Attempt, job: Stray): boolean =>
  jobName === job.jobName && clusterName === job.clusterName

const isRunning = ({ status }: { status: string }): boolean => status === 'RUNNING'

/** Is the job that was seen the one to be kept, rather than the known one? */
function isBetter(seen: Observation, { jobId, job }: Active): boolean {
  const isOneRunning = job.seenAtMs !== NEVER && isRunning(seen) !== isRunning(job)
  return isOneRunning ? isRunning(seen) : seen.jobId < jobId
}

/** Our job left at the fence, so the second job of the same attempt holds the lease: it is ours, if it was not cancelled yet. */
export function leaveToTwin(
  state: Experiment,
  attempt: Attempt,
  active: Active,
  atMs: number,
): Experiment | undefined {
  const twin = state.strays.find((job) => isTwinOf(attempt, job) && job.asks === 0)
  if (!twin) return undefined
  const text = `job ${active.jobId} left at the fence: job ${twin.jobId} is the one that runs`
  const next = log(withoutStray(state, twin), atMs, 'twin-left', text)
  return refresh(next, attempt, {
    ...active,
    jobId: twin.jobId,
    job: unseen(atMs),
    cancel: null,
    verdict: null,
  })
}

/** A live job of an earlier attempt than the present one, which was believed to be over. */
export function stale(state: Experiment, seen: Observation): Experiment {
  const job = secondJob(seen)
  if (state.strays.some((known) => isSame(known, job))) return state
  const text = `job ${seen.jobId} of an earlier attempt lives: cancelling it`
  return log({ ...state, strays: [...state.strays, job] }, seen.seenAtMs, 'incident', text)
}

/**
 * The end of a second job is asked for until a look shows it: the look-out tells changes only, so its silence proves
 * nothing, however long it lasts. Who was asked for goes to the end of the row.
 */
export function strayAsked(state: Experiment, second: SecondJob, atMs: number, isOver = false): Experiment {
  const asks = second.asks + 1
  if (isOver)
    return log(
      calm(withoutStray(state, second)),
      atMs,
      'stray-ended',
      `the second job ${second.jobId} is over`,
    )
  const strays = [...state.strays.filter((known) => known !== second), { ...second, asks, askedAtMs: atMs }]
  const next = calm({ ...state, strays })
  const text = `asked SkyPilot to cancel the second job ${second.jobId}`
  return second.asks === 0
    ? log(next, atMs, 'stray-cancelled', text)
    : { ...next, revision: state.revision + 1 }
}

/** The cancel of a second job failed. It must not hold up everything else until it works: its turn comes again. */
export function strayNotCancelled(state: Experiment, job: Stray, atMs: number): Experiment {
  const second = state.strays.find((known) => isSame(known, job))
  if (!second) return state
  const others = state.strays.filter((known) => known !== second)
  return { ...state, strays: [...others, { ...second, askedAtMs: atMs }] }
}

export function withoutStray(state: Experiment, job: Stray): Experiment {
  const strays = state.strays.filter((known) => !isSame(known, job))
  return strays.length === state.strays.length ? state : { ...state, strays, revision: state.revision + 1 }
}

const FOREIGN_MAX = 20

/** A job of somebody else: it is told of, and never touched. */
export function noteForeign(state: Experiment, seen: Observation): Experiment {
  const job: Stray = { jobId: seen.jobId, jobName: seen.jobName, clusterName: seen.clusterName }
  if (state.foreign.some((known) => isSame(known, job))) return state
  const foreign = [...state.foreign, job].slice(-FOREIGN_MAX)
  const text = `job ${seen.jobId} of somebody else has this experiment's name`
  return log({ ...state, foreign }, seen.seenAtMs, 'foreign-duplicate', text)
}

export function withoutForeign(state: Experiment, seen: Observation): Experiment {
  const foreign = state.foreign.filter((job) => !isSame(job, seen))
  return foreign.length === state.foreign.length ? state : { ...state, revision: state.revision + 1, foreign }
}
