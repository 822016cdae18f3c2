import { type Ended, endOfRun, type Experiment, liveAttempt, type Verdict } from './experiment.ts'
import { sayVerdict } from './job-status.ts'

/** So many quick failures in a row are a crash loop, and said to be one. */
export const CRASH_LOOP_MIN = 5

/**
 * What follows the end of the wanted run's last attempt.
 * - `over`: nothing, until a person says something
 * - `restart`: another attempt, not before `atMs`
 * - `stop`: somebody else ended it, and the policy says to stop wanting it then
 */
export type Sequel =
  | { kind: 'over'; why: string }
  | { kind: 'restart'; atMs: number; why: string; isCrashLoop: boolean }
  | { kind: 'stop'; why: string }

/** Ends that were not of the job's own making and not of ours: somebody else did it, or its machines went. */
const DRIFT: ReadonlySet<string> = new Set(['CANCELLED', 'GONE', 'CLUSTER_GONE', 'CLUSTER_STOPPED'])

export const isDrift = (verdict: Verdict): boolean => DRIFT.has(verdict.status)

/** Decides what follows an attempt of the wanted run. Undefined while there is none that ended, or one is live. */
export function sequelOf(state: Experiment): Sequel | undefined {
  const end = endOfRun(state)
  if (end === undefined) return undefined
  if (state.closing) return { kind: 'over', why: state.closing.reason }
  const { verdict } = end
  const said = sayVerdict(verdict)
  if (isDrift(verdict)) {
    if (state.policy.drift === 'stop') return { kind: 'stop', why: `${said}, and not by SkyDeck` }
    if (state.policy.drift === 'heal') return again(state, end, said)
  }
  return isRestarted(state, verdict) ? again(state, end, said) : { kind: 'over', why: said }
}

/** True when the run that was asked for last has come to its end, one way or another. */
export const isRunOver = (state: Experiment): boolean =>
  liveAttempt(state) === null && (state.closing !== null || sequelOf(state)?.kind === 'over')

/** True when what is live of the run is on its way out: it has its verdict, or is being ended by somebody. */
function isRunEnding({ run, closing, attempt }: Experiment): boolean {
  if (closing !== null) return true
  if (attempt?.run !== run || attempt.progress.phase !== 'active') return false
  const { verdict, job } = attempt.progress
  return verdict !== null || job.status === 'CANCELLING'
}

/** True while nothing of the run is live and it only waits for its next attempt. */
export const isBackingOff = (state: Experiment): boolean =>
  liveAttempt(state) === null && sequelOf(state)?.kind === 'restart'

/** Whether RUNNING, wished once more, means a new run: there is none that goes on. */
export const isAskedAnew = (state: Experiment): boolean => endOfRun(state) !== undefined || isRunEnding(state)

function isRestarted({ policy }: Experiment, verdict: Verdict): boolean {
  const { when, failures, exitCodes } = policy.restart
  if (when === 'never' || isHopeless(verdict)) return false
  if (!isFailure(verdict)) return when === 'always' && verdict.outcome !== 'cancelled'
  if (failures !== 'any' && failures !== verdict.blame) return false
  return exitCodes === null || verdict.blame !== 'code' || exitCodes.some((code) => code === verdict.exitCode)
}

/** What SkyPilot refuses as it stands, it refuses again; what nobody saw end must not be begun beside itself. */
const isHopeless = ({ outcome, status, blame }: Verdict): boolean =>
  outcome === 'lost' || status === 'FENCED' || (status === 'REFUSED' && blame === 'code')

const isFailure = ({ outcome, blame }: Verdict): boolean =>
  outcome === 'failed' || (outcome === 'never-started' && blame !== 'none')

function again(state: Experiment, end: Ended, said: string): Sequel {
  const { maxRestarts } = state.policy.restart
  if (state.restarts >= maxRestarts)
    return { kind: 'over', why: `${said}; restarted ${maxRestarts} times, which is the limit` }
  const isCrashLoop = state.quickFailures >= CRASH_LOOP_MIN
  const what = isCrashLoop
    ? `crash loop: ${state.quickFailures} quick failures in a row; the last: ${said}`
    : said
  const atMs = end.overAtMs + backoffMs(state)
  return { kind: 'restart', atMs, isCrashLoop, why: `${what}; waiting before restart ${state.restarts + 1}` }
}

/** Doubles with every quick failure; up to a quarter is taken off, so that many that failed together do not return together. */
function backoffMs({ id, run, restarts, quickFailures, policy }: Experiment): number {
  const { backoffMs: base, backoffMaxMs } = policy.restart
  const full = Math.min(base * 2 ** Math.max(0, quickFailures - 1), backoffMaxMs)
  return Math.round(full * (1 - 0.25 * fraction(id * 31 + run * 17 + restarts)))
}

/** A number from 0 to 1 that looks random and is always the same for one seed: workflows must decide alike on replay. */
function fraction(seed: number): number {
  let mixed = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32
}

/** How the end of an attempt changes the counts that restarts go by. */
export function countEnd(state: Experiment, end: Ended): Pick<Experiment, 'quickFailures' | 'restarts'> {
  if (ranMs(end) >= state.policy.restart.healthyMs) return { quickFailures: 0, restarts: 0 }
  const hasFailed = end.verdict.outcome !== 'succeeded'
  return { restarts: state.restarts, quickFailures: hasFailed ? state.quickFailures + 1 : 0 }
}

/** How long the job ran, by SkyPilot's clock where it tells both times, else by ours. */
function ranMs({ job, overAtMs }: Ended): number {
  if (job === null) return 0
  if (job.startedAtMs !== null && job.endedAtMs !== null) return Math.max(0, job.endedAtMs - job.startedAtMs)
  return job.runningSinceMs === null ? 0 : Math.max(0, overAtMs - job.runningSinceMs)
}
