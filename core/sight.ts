import type { Phase } from './explain.ts'
import { isLive } from './phases.ts'

/**
 * The headline of what may be running while SkyPilot cannot be seen. It is told when somebody reads, and no workflow
 * holds it: the world is as it was, only our knowledge of it grows old.
 */
export const CANNOT_SEE = 'cannot-see'

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
export function asSeen<T extends Told>(told: T, blindSince: number | null): T {
  if (blindSince === null || !isLive(told.phase) || told.headline === 'held') return told
  return {
    ...told,
    headline: CANNOT_SEE,
    headlineSinceMs: blindSince,
    why: `last seen ${told.phase}; SkyPilot has not been seen since`,
    evidence: [`then: ${told.why}`, ...told.evidence],
    next: 'nothing is stopped or started for this; SkyDeck goes on by itself as soon as it sees SkyPilot again',
    nextAtMs: null,
  }
}
