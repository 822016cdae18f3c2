import type { AttemptIdentity } from './build-task.ts'
import { adoptOnCluster } from './evolve-cluster.ts'
import { jobFound } from './evolve-launch.ts'
import {
  isSame,
  leaveToTwin,
  noteForeign,
  stale,
  stray,
  strayAsked,
  withoutForeign,
  withoutStray,
} from './evolve-stray.ts'
import {
  type Active,
  type Attempt,
  type Ended,
  type Experiment,
  isOnCluster,
  type Verdict,
} from './experiment.ts'
import type { Fact, Observation } from './facts.ts'
import { FENCED_EXIT_CODE } from './fence.ts'
import { endingOf, exitCodeIn, isCleanedUp } from './job-status.ts'
import { unseen, viewOf } from './job-view.ts'
import { calm, closed, end, log, refresh, replaceAttempt, step } from './progress.ts'
import { isRunOver } from './restart.ts'

export function cancelAsked(state: Experiment, fact: Extract<Fact, { kind: 'cancelAsked' }>): Experiment {
  const { job, atMs } = fact
  const second = state.strays.find((known) => isSame(known, job))
  if (second) return strayAsked(state, second, atMs, fact.isOver)
  const { attempt } = state
  if (attempt?.progress.phase !== 'active' || attempt.progress.jobId !== job.jobId) return state
  const { progress } = attempt
  const cancel = { sinceMs: progress.cancel?.sinceMs ?? atMs, askedAtMs: atMs }
  const text = `asked SkyPilot to cancel job ${job.jobId}`
  return step(state, { atMs, kind: 'cancel-asked', text }, { ...progress, cancel })
}

/** Takes what was seen of a job that carries an identity of this experiment. */
export function observed(state: Experiment, identity: AttemptIdentity, seen: Observation): Experiment {
  if (identity.experimentId !== state.id) return state
  if (!carriesOurName(state, identity.name, seen))
    return endingOf(seen.status) ? withoutForeign(state, seen) : noteForeign(state, seen)
  return observedOurs(endingOf(seen.status) ? withoutStray(state, seen) : state, identity, seen)
}

/** Another desk on the same SkyPilot counts its experiments from 1 too: its jobs are told of, and never touched. */
const carriesOurName = (
  { name, formerNames = [], attempt }: Experiment,
  given: string,
  seen: Observation,
): boolean => given === name || formerNames.includes(given) || attempt?.jobName === seen.jobName

function observedOurs(state: Experiment, identity: AttemptIdentity, seen: Observation): Experiment {
  const { attempt } = state
  const elsewhere = isElsewhere(state, seen)
  const own = attempt && !elsewhere ? ownNews(state, attempt, seen) : undefined
  if (own) return own
  // What has ended already is no second job.
  if (endingOf(seen.status)) return state
  if (!elsewhere && attempt?.progress.phase === 'active') return stray(state, attempt, attempt.progress, seen)
  return !elsewhere && isFreeFor(attempt, identity, seen) ? adopt(state, identity, seen) : stale(state, seen)
}

/** Nothing of ours is live, and the job belongs to no attempt that is settled. */
function isFreeFor(attempt: Attempt | null, identity: AttemptIdentity, seen: Observation): boolean {
  if (attempt === null) return true
  const { progress } = attempt
  return progress.phase === 'ended' && !isBefore(identity, attempt) && !isSettled(attempt, progress, seen)
}

/** News of the present attempt's own job. Undefined: it is another job. */
function ownNews(state: Experiment, attempt: Attempt, seen: Observation): Experiment | undefined {
  const { progress, jobName } = attempt
  if (jobName !== seen.jobName || attempt.clusterName !== seen.clusterName) return undefined
  switch (progress.phase) {
    case 'active':
      return progress.jobId === seen.jobId ? follow(state, attempt, progress, seen) : undefined
    case 'ended':
      return progress.jobId === seen.jobId ? seenAgain(state, attempt, progress, seen) : undefined
    case 'intended':
    case 'requested':
      return take(jobFound(state, seen.jobId, seen.seenAtMs), seen)
  }
}

/** An identity is never given twice, so what was before the present attempt is never taken up again. */
const isBefore = (one: { run: number; attempt: number }, other: { run: number; attempt: number }): boolean =>
  one.run < other.run || (one.run === other.run && one.attempt < other.attempt)

/** SkyPilot told how this very attempt ended, so another job of it is one too many. */
const isSettled = ({ jobName }: Attempt, { verdict }: Ended, seen: Observation): boolean =>
  jobName === seen.jobName && endingOf(verdict.status) !== undefined

/** On a cluster that is not the one in our books. */
const isElsewhere = ({ cluster }: Experiment, { clusterName }: Observation): boolean =>
  clusterName !== null && cluster !== null && cluster.name !== clusterName

/** Takes the details of a job that was just found. */
function take(state: Experiment, seen: Observation): Experiment {
  const { attempt } = state
  return attempt?.progress.phase === 'active' ? follow(state, attempt, attempt.progress, seen) : state
}

function follow(state: Experiment, attempt: Attempt, active: Active, seen: Observation): Experiment {
  if (seen.seenAtMs < active.job.seenAtMs) return state
  const news = verdictOf(seen, attempt)
  const left = news?.status === FENCED ? leaveToTwin(state, attempt, active, seen.seenAtMs) : undefined
  if (left) return left
  const verdict = active.verdict ?? (news && closed(state, attempt, news))
  const progress: Active = { ...active, job: viewOf(active.job, seen), verdict }
  const refreshed = refresh(calm(state), attempt, progress)
  // A job of a cluster is over with its status: its machines are the cluster's.
  if (verdict && (isOnCluster(attempt) || isCleanedUp(seen.scheduleState)))
    return end(refreshed, verdict, seen.seenAtMs)
  if (seen.status === active.job.status) return refreshed
  return log(refreshed, seen.seenAtMs, 'observed', `job ${seen.jobId}: ${active.job.status} → ${seen.status}`)
}

function verdictOf(seen: Observation, { isFenced = true }: Attempt): Verdict | null {
  const ending = endingOf(seen.status)
  if (!ending) return null
  const exitCode = exitCodeIn(seen.status, seen.failureReason)
  const verdict = {
    ...ending,
    status: seen.status,
    exitCode,
    reason: seen.failureReason,
    atMs: seen.endedAtMs ?? seen.seenAtMs,
  }
  const isFencedOff = isFenced && exitCode === FENCED_EXIT_CODE && seen.status === 'FAILED'
  return isFencedOff ? fencedOff(verdict) : verdict
}

const FENCED = 'FENCED'

/** It left at the fence, before the person's code: another job of the attempt runs, and is taken up when it is seen. */
const fencedOff = (verdict: Verdict): Verdict => ({
  ...verdict,
  blame: 'infrastructure',
  status: FENCED,
  reason: 'it left at the fence: another job of this attempt runs, or SkyDeck could not be asked',
})

/**
 * News of the job of an attempt that is over. An end that SkyPilot told is final; one that was only concluded, because
 * the job or its cluster was not there any more, is taken back when the job is seen alive after it.
 */
function seenAgain(state: Experiment, attempt: Attempt, ended: Ended, seen: Observation): Experiment {
  const { verdict, jobId } = ended
  if (endingOf(seen.status) || endingOf(verdict.status) || seen.seenAtMs <= ended.overAtMs || jobId === null)
    return fillIn(state, attempt, ended, seen)
  const text = `job ${jobId} is there again: ${seen.status}`
  const active: Active = {
    phase: 'active',
    jobId,
    job: ended.job ?? unseen(seen.seenAtMs),
    cancel: null,
    verdict: null,
  }
  const back = step(state, { atMs: seen.seenAtMs, kind: 'drift', text }, active)
  return take(seen.clusterName === null ? back : adoptOnCluster(back, seen.clusterName, seen.seenAtMs), seen)
}

/** Late news of a job that is over: what was not known is filled in, and nothing that was known is changed. */
function fillIn(state: Experiment, attempt: Attempt, ended: Ended, seen: Observation): Experiment {
  const ending = endingOf(seen.status)
  if (!ending || ended.job === null) return state
  const { job, verdict } = ended
  const filled: Ended = {
    ...ended,
    job: {
      ...job,
      startedAtMs: job.startedAtMs ?? seen.startedAtMs,
      endedAtMs: job.endedAtMs ?? seen.endedAtMs,
      recoveries: Math.max(job.recoveries, seen.recoveries),
    },
    verdict: {
      ...verdict,
      exitCode:
        verdict.exitCode ??
        (seen.status === verdict.status ? exitCodeIn(seen.status, seen.failureReason) : null),
      reason: verdict.reason ?? seen.failureReason,
    },
  }
  return JSON.stringify(filled) === JSON.stringify(ended) ? state : refresh(state, attempt, filled)
}

/** A live job that carries our name while nothing of ours is live: it is ours from now on. */
function adopt(state: Experiment, identity: { run: number; attempt: number }, seen: Observation): Experiment {
  const adopted = replaceAttempt(state, {
    run: identity.run,
    attempt: identity.attempt,
    jobName: seen.jobName,
    clusterName: seen.clusterName,
    specRevision: state.specRevision,
    command: '',
    createdAtMs: seen.submittedAtMs ?? seen.seenAtMs,
    progress: { phase: 'active', jobId: seen.jobId, job: unseen(seen.seenAtMs), cancel: null, verdict: null },
  })
  const run = Math.max(state.run, identity.run)
  const text = `adopted job ${seen.jobId}, which carries this experiment's name`
  const onCluster =
    seen.clusterName === null ? adopted : adoptOnCluster(adopted, seen.clusterName, seen.seenAtMs)
  return take(log({ ...onCluster, run }, seen.seenAtMs, 'adopted', text), seen)
}

/**
 * A live job under the experiment's bare name, which somebody else launched. It takes the place of ours where one is
 * wanted and none is live; else it is only told of, and never touched.
 */
export function foreignSeen(state: Experiment, seen: Observation): Experiment {
  const own = state.attempt ? ownNews(state, state.attempt, seen) : undefined
  if (own) return own
  if (endingOf(seen.status)) return withoutForeign(state, seen)
  const { attempt, desired, deleted } = state
  const isFree = attempt === null || attempt.progress.phase === 'ended'
  // In a run that is over it would be ended for what ended the run.
  return isFree && desired.state === 'RUNNING' && !deleted && !isRunOver(state)
    ? adoptForeign(state, seen)
    : noteForeign(state, seen)
}

function adoptForeign(state: Experiment, seen: Observation): Experiment {
  const { attempt, run } = state
  const adopted = adopt(state, { run, attempt: attempt?.run === run ? attempt.attempt + 1 : 1 }, seen)
  return { ...adopted, attempt: adopted.attempt && { ...adopted.attempt, isAdopted: true } }
}

/** SkyPilot does not know the job any more, although nobody saw it end. */
export function vanished(
  state: Experiment,
  { jobId, jobName, clusterName: where, atMs }: Extract<Fact, { kind: 'vanished' }>,
): Experiment {
  const clusterName = where ?? null
  const foreign = state.foreign.filter((job) => job.jobId !== jobId || job.jobName !== jobName)
  const known = withoutStray(state, { jobId, jobName, clusterName })
  const next =
    foreign.length === known.foreign.length ? known : { ...known, revision: known.revision + 1, foreign }
  const { attempt } = next
  // It was seen after the look that did not show it.
  if (attempt?.progress.phase === 'active' && atMs < attempt.progress.job.seenAtMs) return next
  if (attempt?.progress.phase !== 'active' || attempt.progress.jobId !== jobId || attempt.jobName !== jobName)
    return next
  return end(next, lost('GONE', 'SkyPilot no longer knows the job', atMs), atMs)
}

/** An end that nobody saw. Nothing follows it by itself, unless the person chose that lost ones are healed. */
export const lost = (status: string, reason: string, atMs: number): Verdict => ({
  outcome: 'lost',
  blame: 'infrastructure',
  status,
  exitCode: null,
  reason,
  atMs,
})
