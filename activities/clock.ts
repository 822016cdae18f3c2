import { activityInfo } from '@temporalio/activity'

/**
 * The time by Temporal's clock, which is also that of the workflows: they compare what was seen with what they did
 * themselves. The clock of this machine may be wrong, and may jump under a running process; it only counts what has
 * passed since Temporal last told the time, which it does with every activity.
 */
export interface Clock {
  /** Only within an activity. */
  nowMs(): number
  /** Temporal's time at this moment, or a little before. */
  learn(serverMs: number): void
}

export function createClock(): Clock {
  let offsetMs = Number.NEGATIVE_INFINITY

  const learn = (serverMs: number): void => {
    // What was told is old by the time it is heard, so the latest is the best.
    offsetMs = Math.max(offsetMs, serverMs - performance.now())
  }

  return {
    learn,
    nowMs() {
      learn(activityInfo().currentAttemptScheduledTimestampMs)
      return Math.round(performance.now() + offsetMs)
    },
  }
}
