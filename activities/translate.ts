import { ApplicationFailure } from '@temporalio/common'
import { SkyPilotError } from '../skypilot/errors.ts'

/**
 * The one place where our errors become Temporal's. Only what SkyPilot refused is final; everything else, also what
 * we do not know, stays retryable, because "could not find out" is no answer.
 */
export async function translate<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof SkyPilotError)) throw error
    throw ApplicationFailure.create({
      type: `SkyPilot.${error.kind}`,
      message: error.message,
      nonRetryable: error.kind === 'rejected',
      cause: error,
    })
  }
}
