import { MockActivityEnvironment } from '@temporalio/testing'
import { afterEach, expect, test, vi } from 'vitest'
import { type Clock, createClock } from '../../activities/clock.ts'

afterEach(() => vi.restoreAllMocks())

const SERVER_MS = Date.parse('2030-01-01T00:00:00Z')

/** Within an activity that Temporal scheduled at this time. */
const nowIn = (clock: Clock, scheduledMs: number): Promise<number> =>
  new MockActivityEnvironment({ currentAttemptScheduledTimestampMs: scheduledMs }).run(async () =>
    clock.nowMs(),
  )

test('the time is what Temporal told last and what has passed since, whatever the clock of the machine says', async () => {
  const clock = createClock()
  for (const jumpMs of [-3_600_000, 3_600_000]) {
    vi.spyOn(Date, 'now').mockReturnValue(SERVER_MS + jumpMs)
    const nowMs = await nowIn(clock, SERVER_MS)
    expect(nowMs).toBeGreaterThanOrEqual(SERVER_MS)
    expect(nowMs).toBeLessThan(SERVER_MS + 10_000)
  }
})

test('an activity that waited long before it began does not set the clock back', async () => {
  const clock = createClock()
  clock.learn(SERVER_MS)
  expect(await nowIn(clock, SERVER_MS - 60_000)).toBeGreaterThanOrEqual(SERVER_MS)
})
