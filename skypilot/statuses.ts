// The statuses of SkyPilot 0.14.1. A newer server may send others: they are kept as text, and every predicate takes them
// for live, because to take a live job for a dead one is what starts a second.

/** `sky/utils/status_lib.py`. There is no terminal one: a cluster that is gone has no row. */
export const ClusterStatus = {
  INIT: 'INIT',
  UP: 'UP',
  STOPPED: 'STOPPED',
  AUTOSTOPPING: 'AUTOSTOPPING',
  /** For display only. */
  PENDING: 'PENDING',
} as const
export type ClusterStatus = (typeof ClusterStatus)[keyof typeof ClusterStatus]

/** Jobs of a cluster: `sky/skylet/job_lib.py`. */
export const JobStatus = {
  INIT: 'INIT',
  PENDING: 'PENDING',
  SETTING_UP: 'SETTING_UP',
  RUNNING: 'RUNNING',
  FAILED_DRIVER: 'FAILED_DRIVER',
  SUCCEEDED: 'SUCCEEDED',
  FAILED: 'FAILED',
  FAILED_SETUP: 'FAILED_SETUP',
  CANCELLED: 'CANCELLED',
} as const
export type JobStatus = (typeof JobStatus)[keyof typeof JobStatus]

/** Managed jobs: `sky/jobs/state.py`. */
export const ManagedJobStatus = {
  PENDING: 'PENDING',
  /** Of older servers; now PENDING. */
  SUBMITTED: 'SUBMITTED',
  STARTING: 'STARTING',
  RUNNING: 'RUNNING',
  WINDING_DOWN: 'WINDING_DOWN',
  RECOVERING: 'RECOVERING',
  CANCELLING: 'CANCELLING',
  SUCCEEDED: 'SUCCEEDED',
  CANCELLED: 'CANCELLED',
  FAILED: 'FAILED',
  FAILED_SETUP: 'FAILED_SETUP',
  FAILED_PRECHECKS: 'FAILED_PRECHECKS',
  FAILED_NO_RESOURCE: 'FAILED_NO_RESOURCE',
  FAILED_CONTROLLER: 'FAILED_CONTROLLER',
} as const
export type ManagedJobStatus = (typeof ManagedJobStatus)[keyof typeof ManagedJobStatus]

/** Requests of the API server: `sky/server/requests/requests.py`. */
export const RequestStatus = {
  PENDING: 'PENDING',
  /** Parked without a worker. Servers below API version 55 say RUNNING instead. */
  WAITING: 'WAITING',
  RUNNING: 'RUNNING',
  SUCCEEDED: 'SUCCEEDED',
  FAILED: 'FAILED',
  CANCELLED: 'CANCELLED',
} as const
export type RequestStatus = (typeof RequestStatus)[keyof typeof RequestStatus]

const TERMINAL_JOB: ReadonlySet<string> = new Set<JobStatus>([
  'FAILED_DRIVER',
  'SUCCEEDED',
  'FAILED',
  'FAILED_SETUP',
  'CANCELLED',
])

const TERMINAL_MANAGED: ReadonlySet<string> = new Set<ManagedJobStatus>([
  'SUCCEEDED',
  'CANCELLED',
  'FAILED',
  'FAILED_SETUP',
  'FAILED_PRECHECKS',
  'FAILED_NO_RESOURCE',
  'FAILED_CONTROLLER',
])

const TERMINAL_REQUEST: ReadonlySet<string> = new Set<RequestStatus>(['SUCCEEDED', 'FAILED', 'CANCELLED'])

/** True while the machines of the cluster may run, and cost. */
export const isLiveCluster = (status: string): boolean => status !== ClusterStatus.STOPPED

/** True once nothing can happen to the job of a cluster any more. */
export const isTerminalJob = (status: string): boolean => TERMINAL_JOB.has(status)

/** True once nothing can happen to the managed job any more. */
export const isTerminalManaged = (status: string): boolean => TERMINAL_MANAGED.has(status)

/** True once the request is over, whatever came of it. */
export const isTerminalRequest = (status: string): boolean => TERMINAL_REQUEST.has(status)
