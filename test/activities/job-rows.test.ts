import { expect, test } from 'vitest'
import { jobRows } from '../../activities/job-rows.ts'

const T = 1_000_000_000_000

const task = (jobId: number, taskId: number, status: string, over: Record<string, unknown> = {}) => ({
  jobId,
  taskId,
  jobName: `exp-${jobId}.1.1`,
  status,
  scheduleState: 'ALIVE',
  submittedAtMs: T,
  startAtMs: null,
  endAtMs: null,
  recoveryCount: 0,
  failureReason: null,
  details: null,
  ...over,
})
const statuses = (...tasks: ReturnType<typeof task>[]) => jobRows(tasks).map(({ status }) => status)

test('a job of one task is its row', () => {
  const { taskId: _taskId, ...row } = task(1, 0, 'FAILED', { endAtMs: T + 5, failureReason: 'exit 1' })
  expect(jobRows([{ ...row, taskId: 0 }])).toEqual([row])
})

test('a pipeline lives as long as any of its tasks, and its first that lives is what it does', () => {
  const tasks = [
    task(1, 0, 'SUCCEEDED'),
    task(1, 1, 'RUNNING'),
    task(1, 2, 'PENDING'),
    task(2, 0, 'STARTING'),
  ]
  expect(statuses(...tasks)).toEqual(['RUNNING', 'STARTING'])
  expect(statuses(...tasks.toReversed()).toSorted()).toEqual(['RUNNING', 'STARTING'])
  expect(statuses(task(1, 0, 'FAILED'), task(1, 1, 'A_NEW_WORD'))).toEqual(['A_NEW_WORD'])
})

test('a pipeline that is over has the worst end of its tasks, for one that fails has the others cancelled', () => {
  expect(statuses(task(1, 0, 'SUCCEEDED'), task(1, 1, 'FAILED'), task(1, 2, 'CANCELLED'))).toEqual(['FAILED'])
  expect(statuses(task(1, 0, 'SUCCEEDED'), task(1, 1, 'CANCELLED'))).toEqual(['CANCELLED'])
  expect(statuses(task(1, 0, 'SUCCEEDED'), task(1, 1, 'SUCCEEDED'))).toEqual(['SUCCEEDED'])
})

test('its times and recoveries are those of all its tasks, and it has no end while one lives', () => {
  const first = task(1, 0, 'SUCCEEDED', {
    startAtMs: T + 1,
    endAtMs: T + 5,
    recoveryCount: 2,
    scheduleState: 'DONE',
  })
  const second = task(1, 1, 'RUNNING', { startAtMs: T + 6, recoveryCount: 1 })
  expect(jobRows([first, second])).toMatchObject([
    { submittedAtMs: T, startAtMs: T + 1, endAtMs: null, recoveryCount: 3, scheduleState: 'ALIVE' },
  ])
  const done = { ...second, status: 'FAILED', endAtMs: T + 9, failureReason: 'exit 1' }
  expect(jobRows([first, done])).toMatchObject([
    { endAtMs: T + 9, failureReason: 'exit 1', scheduleState: 'ALIVE' },
  ])
})
