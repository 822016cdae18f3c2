import { ApplicationFailure } from '@temporalio/common'
import { expect, test } from 'vitest'
import { withSkyPilot } from '../../activities/with-skypilot.ts'
import { SkyPilotError, type SkyPilotErrorKind } from '../../skypilot/errors.ts'
import { surroundings } from './bench.ts'

async function failing(error: Error): Promise<unknown> {
  try {
    return await surroundings().run(() =>
      withSkyPilot(async () => {
        throw error
      }),
    )
  } catch (thrown) {
    return thrown
  }
}

test.each<[SkyPilotErrorKind, boolean]>([
  ['rejected', true],
  ['invalid', true],
  ['unreachable', false],
  ['timeout', false],
  ['not-found', false],
  ['unauthorized', false],
  ['protocol', false],
  ['cancelled', false],
])('%s is final: %s', async (kind, nonRetryable) => {
  const failure = await failing(new SkyPilotError(kind, 'no'))
  expect(failure).toBeInstanceOf(ApplicationFailure)
  expect(failure).toMatchObject({ type: `SkyPilot.${kind}`, nonRetryable })
})

test('what is no error of SkyPilot is left as it is', async () => {
  const error = new Error('a bug')
  expect(await failing(error)).toBe(error)
})
