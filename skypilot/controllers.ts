import { SkyPilotError } from './errors.ts'

// `sky/utils/common.py`: JOB_CONTROLLER_PREFIX and SKY_SERVE_CONTROLLER_PREFIX; what follows is the id of the server.
const PREFIXES = ['sky-jobs-controller-', 'sky-serve-controller-']

/**
 * Is it a cluster on which SkyPilot itself looks after managed jobs or services? `clusters.status` lists them like any
 * other. SkyPilot reserves these names: whoever takes such a cluster down ends what everybody runs there.
 */
export const isController = (clusterName: string): boolean =>
  PREFIXES.some((prefix) => clusterName.startsWith(prefix))

/**
 * What `queue_v2` says where there is no jobs controller, where it is stopped, and where its machine is being made: in
 * all three no job is in progress (`is_controller_accessible` in `sky/backends/backend_utils.py`). One that cannot be
 * reached has another message, and one that is stopped may have jobs that are over.
 */
const NONE_IN_PROGRESS = 'ClusterNotUpError: No in-progress managed jobs.'

export const saysNoneInProgress = (error: unknown): boolean =>
  error instanceof SkyPilotError &&
  error.exceptionName === 'ClusterNotUpError' &&
  error.message === NONE_IN_PROGRESS

/** So fails the start of a controller that there is not. */
export const saysNoController = (error: unknown): boolean =>
  error instanceof SkyPilotError &&
  error.exceptionName === 'ClusterDoesNotExist' &&
  PREFIXES.some((prefix) => error.message.startsWith(`ClusterDoesNotExist: Cluster '${prefix}`))
