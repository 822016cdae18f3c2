import { join } from 'node:path'
import type { JobRow } from './state.ts'
import type { JobTask } from './task.ts'

/** What a job sees of the server's own environment: enough to find programs, and none of its secrets. */
const INHERITED = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LC_ALL',
  'TZ',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'VIRTUAL_ENV',
  'CONDA_PREFIX',
]

/** What SkyPilot tells the processes of any task, on one of its nodes. */
function surroundingsOf(task: JobTask, rank: number, taskId: string): Record<string, string> {
  const inherited = INHERITED.flatMap((key) => {
    const value = process.env[key]
    return value === undefined ? [] : [[key, value] as const]
  })
  return {
    PATH: '/usr/local/bin:/usr/bin:/bin',
    HOME: '/',
    ...Object.fromEntries(inherited),
    PYTHONUNBUFFERED: '1',
    ...task.envs,
    SKYPILOT_TASK_ID: taskId,
    SKYPILOT_NODE_RANK: String(rank),
    SKYPILOT_NUM_NODES: String(task.numNodes),
    SKYPILOT_NODE_IPS: Array.from({ length: task.numNodes }, () => '127.0.0.1').join('\n'),
    SKYPILOT_NUM_GPUS_PER_NODE: String(task.gpusPerNode),
    SKYPILOT_SETUP_NODE_RANK: String(rank),
    SKYPILOT_SETUP_NODE_IPS: Array.from({ length: task.numNodes }, () => '127.0.0.1').join('\n'),
  }
}

/** The environment of one node of a managed job. `folder` is that of this attempt. */
export function managedSurroundings(
  job: JobRow,
  task: JobTask,
  rank: number,
  folder: string,
): Record<string, string> {
  return {
    ...surroundingsOf(task, rank, taskIdOf(job)),
    SKYPILOT_MANAGED_JOB_ID: String(job.job_id),
    // Files that belong under the home directory must not fall into the one of whoever runs the server.
    ...(Object.keys(task.fileMounts).some((place) => place.startsWith('~/'))
      ? { HOME: join(folder, 'home') }
      : {}),
  }
}

/** A job of a cluster, as far as its processes are told of it. */
export interface ClusterJobPlace {
  cluster: string
  jobId: number
  submittedAt: number
  userName: string
  /** The cluster's own home directory: its disk. */
  home: string
}

/** The environment of one node of a job on a cluster. */
export function clusterSurroundings(
  { cluster, jobId, submittedAt, userName, home }: ClusterJobPlace,
  task: JobTask,
  rank: number,
): Record<string, string> {
  return {
    ...surroundingsOf(task, rank, `sky-${stampOf(submittedAt)}_${cluster}_${jobId}`),
    HOME: home,
    SKYPILOT_INTERNAL_JOB_ID: String(jobId),
    SKYPILOT_USER: userName,
    SKYPILOT_CLUSTER_INFO: JSON.stringify({
      cluster_name: cluster,
      cloud: 'Local',
      region: 'this-machine',
      zone: null,
    }),
  }
}

/** SkyPilot's id of a task: when, what, which job. */
export function taskIdOf(job: JobRow): string {
  return `sky-managed-${stampOf(job.submitted_at)}_${job.name}_${job.job_id}-0`
}

/** A time as SkyPilot's names carry it: `2026-11-22-16-25-56-665000`. */
export function stampOf(atSeconds: number): string {
  const at = new Date(atSeconds * 1_000).toISOString()
  return `${at.slice(0, 19).replaceAll(/[T:]/g, '-')}-${at.slice(20, 23)}000`
}

/** The environment of a replica of a service. */
export function replicaSurroundings(
  service: string,
  replicaId: number,
  launchedAt: number,
  task: JobTask,
): Record<string, string> {
  return {
    ...surroundingsOf(task, 0, `sky-${stampOf(launchedAt)}_${service}-${replicaId}_1`),
    SKYPILOT_SERVE_REPLICA_ID: String(replicaId),
  }
}
