import { describe, expect, test } from 'vitest'
import {
  ClusterStatus,
  isLiveCluster,
  isTerminalJob,
  isTerminalManaged,
  isTerminalRequest,
  JobStatus,
  ManagedJobStatus,
  RequestStatus,
} from '../../skypilot/statuses.ts'

const those = (statuses: Record<string, string>, predicate: (status: string) => boolean): string[] =>
  Object.values(statuses).filter(predicate)

describe('what nothing can happen to any more', () => {
  test('of the jobs of clusters', () =>
    expect(those(JobStatus, isTerminalJob)).toEqual([
      'FAILED_DRIVER',
      'SUCCEEDED',
      'FAILED',
      'FAILED_SETUP',
      'CANCELLED',
    ]))

  test('of managed jobs', () =>
    expect(those(ManagedJobStatus, (status) => !isTerminalManaged(status))).toEqual([
      'PENDING',
      'SUBMITTED',
      'STARTING',
      'RUNNING',
      'WINDING_DOWN',
      'RECOVERING',
      'CANCELLING',
    ]))

  test('of requests', () =>
    expect(those(RequestStatus, isTerminalRequest)).toEqual(['SUCCEEDED', 'FAILED', 'CANCELLED']))

  test('a cluster costs until it is stopped', () =>
    expect(those(ClusterStatus, isLiveCluster)).toEqual(['INIT', 'UP', 'AUTOSTOPPING', 'PENDING']))
})

test.each(['DREAMING', '', 'succeeded', 'SUCCEEDED '])('%j is unknown, so it counts as live', (status) => {
  expect(isTerminalJob(status)).toBe(false)
  expect(isTerminalManaged(status)).toBe(false)
  expect(isTerminalRequest(status)).toBe(false)
  expect(isLiveCluster(status)).toBe(true)
})
