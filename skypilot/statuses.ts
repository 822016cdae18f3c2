/** The statuses of managed jobs that never change again (`sky/jobs/state.py`, 0.14.1). */
const TERMINAL_MANAGED: ReadonlySet<string> = new Set([
  'SUCCEEDED',
  'CANCELLED',
  'FAILED',
  'FAILED_SETUP',
  'FAILED_PRECHECKS',
  'FAILED_NO_RESOURCE',
  'FAILED_CONTROLLER',
])

/** True once nothing can happen to the job any more. An unknown status counts as live. */
export const isTerminalManaged = (status: string): boolean => TERMINAL_MANAGED.has(status)
