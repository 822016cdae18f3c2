import { heartbeat } from '@temporalio/activity'
import { ApplicationFailure } from '@temporalio/common'
import { SkyPilotError } from '../skypilot/errors.ts'

/** Well below the heartbeat timeout of `workflows/perform.ts`, which is how soon a dead worker is noticed. */
const HEARTBEAT_MS = 2_000

/**
 * Runs a piece of work that talks to SkyPilot: heartbeats all along, so that a killed worker is noticed and a slow
 * server is not taken for one, and turns our errors into Temporal's. Only what SkyPilot refused is final; everything
 * else, also what we do not know, stays retryable, because "could not find out" is no answer.
 */
export async function withSkyPilot<T>(work: () => Promise<T>): Promise<T> {
  const ticker = setInterval(() => heartbeat(), HEARTBEAT_MS)
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof SkyPilotError)) throw error
    throw ApplicationFailure.create({
      type: `SkyPilot.${error.kind}`,
      message: error.message,
      nonRetryable: error.kind === 'rejected' || error.kind === 'invalid',
      // When the server says how long to wait, that counts more than our own backoff.
      ...(error.retryAfterMs === null ? {} : { nextRetryDelay: error.retryAfterMs }),
      cause: error,
    })
  } finally {
    clearInterval(ticker)
  }
}
