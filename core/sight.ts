import type { Phase } from './explain.ts'
import { isLive } from './phases.ts'

/**
 * The headline of what may be running while SkyPilot cannot be seen. It is told when somebody reads, and no workflow
 * holds it: the world is as it was, only our knowledge of it grows old.
 */
export const CANNOT_SEE = 'cannot-see'

/** The source of all that one look at SkyPilot shows. */
export const SKYPILOT = 'skypilot'

/** The source of the jobs on one cluster, whose machines are asked themselves. It is noted only while they do not answer. */
export const queueSourceOf = (clusterName: string): string => `queue:${clusterName}`

/** Where news of an experiment's job come from; the queue of a cluster does not answer for longer than SkyPilot does not. */
export const sourceFor = <T extends { name: string }>(
  sources: readonly T[],
  clusterName: string | null,
): T | undefined =>
  (clusterName === null ? undefined : sources.find(({ name }) => name === queueSourceOf(clusterName))) ??
  sources.find(({ name }) => name === SKYPILOT)

const LOOKS_MISSED_MAX = 5
const PATIENCE_MIN_MS = 30_000

/** Where nothing is live nothing changes by itself, so it is looked at more seldom. */
const IDLE_FACTOR = 6
const IDLE_MAX_MS = 60_000

/** How long a look-out that sees nothing live waits from one look to the next. */
export const idleIntervalMs = (pollIntervalMs: number): number =>
  Math.max(pollIntervalMs, Math.min(pollIntervalMs * IDLE_FACTOR, IDLE_MAX_MS))

/**
 * The time of the last good look, when that is too long ago to go by; null while SkyPilot is in sight. What was never
 * seen at all has nothing to be blind about.
 */
export function blindSinceMs(okAtMs: number | null, pollIntervalMs: number, nowMs: number): number | null {
  // An idle look-out is no blind one: after its longest pause it has two intervals for the look itself.
  const idleMs = idleIntervalMs(pollIntervalMs) + 2 * pollIntervalMs
  const patienceMs = Math.max(LOOKS_MISSED_MAX * pollIntervalMs, idleMs, PATIENCE_MIN_MS)
  return okAtMs !== null && nowMs - okAtMs > patienceMs ? okAtMs : null
}

/** What is not seen any more, and when it was last seen. */
export interface Blind {
  to: 'SkyPilot' | 'its cluster'
  sinceMs: number
}

/** What SkyDeck does about a job needs no sight of its cluster, and what hinders it is more than that. */
const isBeingEnded = ({ phase, headline }: Pick<Told, 'phase' | 'headline'>): boolean =>
  phase === 'stopping' || phase === 'finishing' || WORSE.has(headline)

const WORSE: ReadonlySet<string> = new Set([
  'two-jobs',
  'not-authorised',
  'skypilot-unreachable',
  'action-failing',
  'overdue',
])

interface Told {
  phase: Phase
  headline: string
  headlineSinceMs: number
  why: string
  evidence: string[]
  next: string | null
  nextAtMs: number | null
}

/**
 * What is told of an experiment, given how far we see. A live one that we are blind to keeps its phase, as the last that
 * is known of it, and is never called failed. The words hold no age: that grows, and is told by the time beside them.
 */
export function asSeen<T extends Told>(told: T, blind: Blind | null): T {
  if (blind === null || !isLive(told.phase) || told.headline === 'held') return told
  if (blind.to === 'its cluster' && isBeingEnded(told)) return told
  return {
    ...told,
    headline: CANNOT_SEE,
    headlineSinceMs: blind.sinceMs,
    why: `last seen ${told.phase}; ${blind.to} has not been seen since`,
    evidence: [`then: ${told.why}`, ...told.evidence],
    next: `nothing is stopped or started for this; SkyDeck goes on by itself as soon as it sees ${blind.to} again`,
    nextAtMs: null,
  }
}
