import type { ManagedJobRecord } from '../skypilot/schemas.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import type { QueueRow } from './jobs-view.ts'

type Task = Pick<ManagedJobRecord, keyof QueueRow | 'taskId'>

/**
 * One row a job. The queue has one for each task of a pipeline, those that are over too while the job is not: the end of
 * its first task is not its own.
 */
export function jobRows(tasks: readonly Task[]): QueueRow[] {
  const byJob = new Map<number, Task[]>()
  for (const task of tasks) {
    const others = byJob.get(task.jobId)
    if (others) others.push(task)
    else byJob.set(task.jobId, [task])
  }
  return [...byJob.values()].map(jobOf)
}

function jobOf(given: readonly Task[]): QueueRow {
  const tasks = given.toSorted((one, other) => one.taskId - other.taskId)
  const live = tasks.find(({ status }) => !isTerminalManaged(status))
  const worst = tasks.reduce((one, other) => (badness(other) > badness(one) ? other : one))
  const { taskId: _taskId, ...row } = live ?? worst
  const ends = timesOf(tasks, 'endAtMs')
  return {
    ...row,
    // It is the job's own, and the same for all its tasks, unless they were read while it changed.
    scheduleState:
      tasks.find(({ scheduleState }) => scheduleState !== 'DONE')?.scheduleState ?? row.scheduleState,
    submittedAtMs: earliest(timesOf(tasks, 'submittedAtMs')),
    startAtMs: earliest(timesOf(tasks, 'startAtMs')),
    endAtMs: live || ends.length === 0 ? (live?.endAtMs ?? null) : Math.max(...ends),
    recoveryCount: tasks.reduce((sum, { recoveryCount }) => sum + recoveryCount, 0),
  }
}

/** Where one task fails, those after it are cancelled. */
function badness({ status }: Task): number {
  if (status === 'SUCCEEDED') return 0
  return status === 'CANCELLED' ? 1 : 2
}

const timesOf = (tasks: readonly Task[], which: 'submittedAtMs' | 'startAtMs' | 'endAtMs'): number[] =>
  tasks.map((task) => task[which]).filter((atMs) => atMs !== null)

const earliest = (times: readonly number[]): number | null => (times.length === 0 ? null : Math.min(...times))
