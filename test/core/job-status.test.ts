import { expect, test } from 'vitest'
import { isCleanedUp } from '../../core/job-status.ts'

test.each([
  ['DONE', true],
  // What SkyPilot shows for good of a job that was cancelled before a controller had it.
  ['INACTIVE', true],
  ['WAITING', false],
  ['LAUNCHING', false],
  ['ALIVE', false],
  [null, false],
])('a job that has ended with schedule state %s is cleaned up: %s', (scheduleState, expected) => {
  expect(isCleanedUp(scheduleState)).toBe(expected)
})
