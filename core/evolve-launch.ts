import {
  BROKEN_MS,
  FORGOTTEN_SETTLE_MS,
  LOOK_AGAIN_MS,
  LOOKS_EMPTY_MIN,
  MAKING_MAX_MS,
  SETTLE_MS,
  UNSEEN_LOOK_MS,
} from './action.ts'
import { jobName } from './build-task.ts'
import { whyUnwanted } from './decide.ts'
import { clearUnseen } from './decide-cluster.ts'
import { foundOnCluster, intendCluster, withoutAutostopTrouble } from './evolve-cluster.ts'
import {
  type Attempt,
  clusterNameOf,
  type Experiment,
  type Intended,
  isOnCluster,
  liveAttempt,
  type Verdict,
} from './experiment.ts'
import type { Fact, Submitted } from './facts.ts'
import { refusedBy } from './job-status.ts'
import { unseen } from './job-view.ts'
import { calm, end, log, refresh, replaceAttempt, step } from './progress.ts'
import { submittedOf } from './submitted.ts'

/** Fixes the identity of the next attempt, before anything is launched. */
export function intend(state: Experiment, atMs: number): Experiment {
  if (state.run === 0 || liveAttempt(state)) return state
  const onCluster = state.spec.executor === 'cluster'
  const isRestart = state.attempt?.run === state.run
  const attempt = isRestart ? (state.attempt?.attempt ?? 0) + 1 : 1
  const name = jobName({ experimentId: state.id, name: state.name, run: state.run, attempt })
  const { specRevision, command } = submittedOf(state)
  const fresh = replaceAttempt(state, {
    run: state.run,
    attempt,
    jobName: name,
    clusterName: onCluster ? clusterNameOf(state) : null,
    specRevision,
    command,
    createdAtMs: atMs,
    progress: { phase: 'intended', looksEmpty: 0, unsure: false, settledAtMs: atMs },
  })
  const counted = { ...fresh, restarts: isRestart ? state.restarts + 1 : state.restarts }
  const ready = onCluster ? intendCluster(counted, atMs) : counted
  return log(calm(ready), atMs, 'launch-intended', `launching as ${name}`)
}

export function launchRequested(
  state: Experiment,
  fact: Extract<Fact, { kind: 'launchRequested' }>,
): Experiment {
  const { attempt } = state
  if (attempt?.progress.phase !== 'intended') return state
  const { requestId, isFenced, submitted, atMs } = fact
  const { abortAskedAtMs, isExecRefused: wasRefused, refusal } = attempt.progress
  const text = `SkyPilot took the launch as request ${requestId}`
  return step(
    isFenced === undefined ? state : asSubmitted({ ...state, attempt: { ...attempt, isFenced } }, submitted),
    { atMs, kind: 'launch-requested', text },
    {
      phase: 'requested',
      requestId,
      sinceMs: atMs,
      ...(abortAskedAtMs === undefined ? {} : { abortAskedAtMs }),
      ...(wasRefused ? { isExecRefused: true } : {}),
      ...(refusal ? { refusal } : {}),
    },
  )
}

/** An edit may have come between the intent and the launch: what is written down is what was sent. */
function asSubmitted(state: Experiment, submitted: Submitted | undefined): Experiment {
  const { attempt, cluster } = state
  if (!attempt || !submitted) return state
  const { specRevision, command, recipe } = submitted
  return {
    ...state,
    attempt: { ...attempt, specRevision, command },
    cluster: isOnCluster(attempt) && cluster ? { ...cluster, recipe } : cluster,
  }
}

/** Whether SkyPilot did abort it shows a look; the request that is found again is not aborted again at once. */
export function abortAsked(state: Experiment, fact: Extract<Fact, { kind: 'abortAsked' }>): Experiment {
  const { atMs, isForgotten = false } = fact
  const reason = isForgotten ? 'SkyPilot knows of no launch to abort' : 'the launch was aborted'
  const unsure = launchUnsure(state, { kind: 'launchUnsure', reason, isForgotten, atMs })
  const { attempt } = unsure
  if (attempt?.progress.phase !== 'intended') return unsure
  return { ...unsure, attempt: { ...attempt, progress: { ...attempt.progress, abortAskedAtMs: atMs } } }
}

/**
 * The answer to a launch was lost, or tells of a failure that came after the job may have. Nothing may be launched before
 * what is in flight had time to show itself; that takes longest where SkyPilot has forgotten the request and may still be
 * working on it.
 */
export function launchUnsure(state: Experiment, fact: Extract<Fact, { kind: 'launchUnsure' }>): Experiment {
  if (!isBeforeJob(state.attempt)) return state
  const { atMs, reason, isForgotten = false, refusal } = fact
  const settledAtMs = isForgotten ? atMs + FORGOTTEN_SETTLE_MS : atMs
  const doubt: Intended = {
    ...doubtBefore(state, atMs),
    phase: 'intended',
    looksEmpty: 0,
    unsure: true,
    settledAtMs,
    ...(isForgotten ? { isForgotten } : {}),
    ...(refusal ? { refusal } : {}),
  }
  const next = step(state, { atMs, kind: 'launch-unsure', text: reason }, doubt)
  // Trouble stays: it counts the failures, and with them grows the time until the next try.
  return { ...next, trouble: state.trouble }
}

export function launchRefused(state: Experiment, fact: Extract<Fact, { kind: 'launchRefused' }>): Experiment {
  if (!isBeforeJob(state.attempt)) return state
  const { atMs, reason, exceptionName } = fact
  if (isExecRefused(state.attempt, exceptionName)) return notReady(state, reason, atMs)
  const { progress } = state.attempt ?? {}
  // An earlier launch of the attempt that failed may have launched all the same.
  if (progress?.phase === 'requested' && progress.refusal)
    return launchUnsure(state, { kind: 'launchUnsure', reason, refusal: progress.refusal, atMs })
  return end(state, refusedBy({ reason, exceptionName }, atMs), atMs)
}

/**
 * The cluster was not as ready as it looked when the job was sent, and took nothing: the same attempt is launched the
 * long way, once. What is known of the cluster by now says nothing of how it looked then.
 */
function isExecRefused(attempt: Attempt | null, exceptionName: string | null): boolean {
  const progress = attempt?.progress
  if (!isOnCluster(attempt) || (progress?.phase !== 'intended' && progress?.phase !== 'requested'))
    return false
  if (progress.isExecRefused) return false
  return ['ClusterNotUpError', 'ClusterDoesNotExist'].some((name) => name === exceptionName)
}

function notReady(state: Experiment, reason: string, atMs: number): Experiment {
  const { cluster } = state
  // Once it is made anew it is to be told anew when it shall stop itself.
  const unknown = { status: null, statusSinceMs: atMs, autostopAsked: null, autostopRefusal: null }
  const next = { ...state, cluster: cluster && { ...withoutAutostopTrouble(cluster), ...unknown } }
  return step(
    next,
    { atMs, kind: 'cluster-not-ready', text: `the cluster was not ready: ${reason}` },
    { ...doubtBefore(state, atMs), phase: 'intended', looksEmpty: 0, settledAtMs: atMs, isExecRefused: true },
  )
}

/**
 * What is doubted already: that one launch was refused says nothing of one before it that was lost. A wait for the
 * cluster that is over was followed by a launch, and may be needed anew.
 */
function doubtBefore(
  { attempt }: Experiment,
  atMs: number,
): Omit<Intended, 'phase' | 'looksEmpty' | 'emptyAtMs' | 'settledAtMs'> {
  if (attempt?.progress.phase === 'requested' && attempt.progress.refusal)
    return { unsure: false, refusal: attempt.progress.refusal }
  if (attempt?.progress.phase !== 'intended') return { unsure: false }
  const {
    looksEmpty: _looks,
    emptyAtMs: _empty,
    settledAtMs: _settled,
    phase: _phase,
    makingUntilMs,
    ...doubt
  } = attempt.progress
  return makingUntilMs !== undefined && atMs < makingUntilMs ? { ...doubt, makingUntilMs } : doubt
}

const isBeforeJob = (attempt: Attempt | null): boolean =>
  attempt?.progress.phase === 'intended' || attempt?.progress.phase === 'requested'

export function lookedEmpty(state: Experiment, atMs: number): Experiment {
  const { attempt } = state
  if (attempt?.progress.phase !== 'intended') return state
  const { unseenAtMs: _unseen, emptyAtMs, ...progress } = attempt.progress
  // A wish that came meanwhile has it looked for once more at once, which is no second look.
  const isApart = emptyAtMs === undefined || atMs - emptyAtMs >= SETTLE_MS
  const looksEmpty = progress.looksEmpty + (isApart ? 1 : 0)
  const isSettled = atMs >= progress.settledAtMs
  if (isSettled && looksEmpty >= LOOKS_EMPTY_MIN) {
    // SkyPilot has said how it went, and would say the same again: what follows is for the policy of restarts.
    if (progress.refusal) return end(state, refusedBy(progress.refusal, atMs), atMs)
    if (whyUnwanted(state, attempt) !== undefined) return end(state, neverStarted(atMs), atMs)
  }
  const again = refresh(state, attempt, { ...progress, looksEmpty, emptyAtMs: isApart ? atMs : emptyAtMs })
  return lookAgain(again, 'nothing found yet, looking once more', atMs, isSettled ? SETTLE_MS : LOOK_AGAIN_MS)
}

const lookAgain = (state: Experiment, reason: string, atMs: number, afterMs: number): Experiment => ({
  ...state,
  trouble: { action: 'look', kind: null, reason, failures: 0, sinceMs: atMs, retryAtMs: atMs + afterMs },
})

/**
 * While its cluster is being made the launch may be on its way. Where the cluster is to go it goes with it; and one that is
 * not wanted, and was aborted for certain, left a cluster half made that means nothing.
 */
export function lookedMaking(state: Experiment, atMs: number): Experiment {
  const { attempt } = state
  if (attempt?.progress.phase !== 'intended') return state
  const { progress } = attempt
  if (progress.refusal) return lookedUnseen(state, attempt, progress, atMs)
  const makingUntilMs = progress.makingUntilMs ?? atMs + MAKING_MAX_MS
  const isGoing = state.deleted || state.desired.state !== 'RUNNING'
  const isAborted = whyUnwanted(state, attempt) !== undefined && !progress.isForgotten
  if (atMs >= makingUntilMs || isGoing || isAborted) return lookedEmpty(state, atMs)
  const settledAtMs = Math.max(progress.settledAtMs, atMs + FORGOTTEN_SETTLE_MS)
  const waiting = { ...progress, looksEmpty: 0, unsure: true, settledAtMs, makingUntilMs }
  const reason = 'its cluster is being made, maybe by a launch that SkyPilot forgot'
  return lookAgain(refresh(state, attempt, waiting), reason, atMs, LOOK_AGAIN_MS)
}

/** A longer pause between two looks is time in which nobody could look. */
const LOOKS_APART_MAX_MS = 60_000

/**
 * After a launch that failed its job may be on the cluster, for as long as that can neither be asked nor is at rest. When it
 * is time, the machines that may run what nobody can see are stopped at once, while that is true.
 */
function lookedUnseen(state: Experiment, attempt: Attempt, progress: Intended, atMs: number): Experiment {
  const { unseenAtMs: before, ...known } = progress
  const { makingUntilMs: untilMs = atMs + MAKING_MAX_MS, makingAtMs: beforeMs = atMs } = progress
  // Where it was time already the pause was ours.
  const awayMs = before === undefined ? Math.max(0, atMs - beforeMs - LOOKS_APART_MAX_MS) : 0
  const makingUntilMs = untilMs + awayMs
  const settledAtMs = atMs + FORGOTTEN_SETTLE_MS
  const waiting = { ...known, looksEmpty: 0, unsure: true, settledAtMs, makingUntilMs, makingAtMs: atMs }
  const isTime = atMs >= makingUntilMs || whyUnwanted(state, attempt) !== undefined
  const next = refresh(state, attempt, isTime ? { ...waiting, unseenAtMs: atMs } : waiting)
  // What failed before waits longer every time.
  if (isTime && clearUnseen(next, atMs)) return state.trouble?.kind == null ? calm(next) : next
  const reason =
    'SkyPilot calls the launch failed, and its cluster cannot be asked whether the job came to it before that'
  return lookAgain(next, reason, atMs, isTime ? UNSEEN_LOOK_MS : LOOK_AGAIN_MS)
}

const neverStarted = (atMs: number): Verdict => ({
  outcome: 'never-started',
  blame: 'none',
  status: 'NEVER_STARTED',
  exitCode: null,
  reason: 'stopped before anything was started',
  atMs,
})

export function jobFound(state: Experiment, jobId: number, atMs: number): Experiment {
  if (!isBeforeJob(state.attempt)) return state
  const onCluster = isOnCluster(state.attempt) ? foundOnCluster(state, atMs) : state
  const progress = state.attempt?.progress
  const unseenAtMs = progress?.phase === 'intended' ? progress.unseenAtMs : undefined
  const clearing = unseenAtMs === undefined ? {} : { clearingUntilMs: unseenAtMs + BROKEN_MS }
  return step(
    onCluster,
    { atMs, kind: 'job', text: `job ${jobId} exists` },
    { phase: 'active', jobId, job: unseen(atMs), cancel: null, verdict: null, ...clearing },
  )
}
