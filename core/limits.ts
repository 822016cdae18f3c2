import { type Attempt, type Experiment, liveAttempt, NEVER } from './experiment.ts'
import { isRunOver } from './restart.ts'

/** Says which limit of the run is passed; undefined while none is, or nothing is left to be limited. */
export function whyOverLimit(state: Experiment, nowMs: number): string | undefined {
  return limitsOf(state).find(({ atMs }) => nowMs >= atMs)?.why
}

/** When the next limit is reached; null where there is none. */
export function nextLimitMs(state: Experiment): number | null {
  const times = limitsOf(state).map(({ atMs }) => atMs)
  return times.length === 0 ? null : Math.min(...times)
}

interface Limit {
  atMs: number
  why: string
}

function limitsOf(state: Experiment): Limit[] {
  if (state.desired.state !== 'RUNNING' || state.deleted || state.closing || isRunOver(state)) return []
  const live = liveAttempt(state)
  if (live && isBeyondLimits(live)) return []
  const { maxRunMs, maxAgeMs } = state.policy
  const limits: Limit[] = []
  const sinceMs = runningSince(live, state.run)
  if (maxRunMs !== null && sinceMs !== null)
    limits.push({ atMs: sinceMs + maxRunMs, why: `it ran for ${sayDuration(maxRunMs)}, which is its limit` })
  if (maxAgeMs !== null)
    limits.push({
      atMs: state.runSinceMs + maxAgeMs,
      why: `its run is ${sayDuration(maxAgeMs)} old, waiting included, which is its limit`,
    })
  return limits
}

/**
 * Whoever launched a job that was adopted did not ask for our limits, and it may have run for long before it was found.
 * What has its verdict is over, and only cleans up.
 */
const isBeyondLimits = ({ isAdopted, progress }: Attempt): boolean =>
  isAdopted === true || (progress.phase === 'active' && progress.verdict !== null)

/** When the job began to run. SkyPilot's own time is believed where it is not later than the first look that saw it. */
function runningSince(attempt: Attempt | null, run: number): number | null {
  if (attempt?.run !== run || attempt.progress.phase !== 'active') return null
  const { startedAtMs, runningSinceMs } = attempt.progress.job
  if (runningSinceMs === null) return null
  return Math.min(startedAtMs === null || startedAtMs <= NEVER ? runningSinceMs : startedAtMs, runningSinceMs)
}

const UNITS: ReadonlyArray<readonly [ms: number, word: string]> = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
]

/** A span of time in its two largest units, such as `1 h 30 min`. */
export function sayDuration(ms: number): string {
  const parts: string[] = []
  let left = ms
  for (const [unit, word] of UNITS) {
    const count = Math.floor(left / unit)
    if (count > 0) parts.push(`${count} ${word}`)
    left -= count * unit
    if (parts.length === 2) break
  }
  return parts.length === 0 ? `${Math.round(ms)} ms` : parts.join(' ')
}
