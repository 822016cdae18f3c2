/** SkyPilot's statuses of managed jobs (`sky/jobs/state.py`, 0.14.1). A newer server may know others. */
export const MANAGED_JOB_STATUSES = [
  'PENDING',
  'SUBMITTED',
  'STARTING',
  'RUNNING',
  'WINDING_DOWN',
  'RECOVERING',
  'CANCELLING',
  'SUCCEEDED',
  'CANCELLED',
  'FAILED',
  'FAILED_SETUP',
  'FAILED_PRECHECKS',
  'FAILED_NO_RESOURCE',
  'FAILED_CONTROLLER',
] as const

const TERMINAL_MANAGED: ReadonlySet<string> = new Set([
  'SUCCEEDED',
  'CANCELLED',
  'FAILED',
  'FAILED_SETUP',
  'FAILED_PRECHECKS',
  'FAILED_NO_RESOURCE',
  'FAILED_CONTROLLER',
])

/** True for the statuses that never change again. An unknown status counts as live. */
export const isTerminalManaged = (status: string): boolean => TERMINAL_MANAGED.has(status)
