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

/** The environment of one node of a job. */
export function environmentOf(job: JobRow, task: JobTask, rank: number): Record<string, string> {
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
    SKYPILOT_TASK_ID: taskIdOf(job),
    SKYPILOT_MANAGED_JOB_ID: String(job.job_id),
    SKYPILOT_NODE_RANK: String(rank),
    SKYPILOT_NUM_NODES: String(task.numNodes),
    SKYPILOT_NODE_IPS: Array.from({ length: task.numNodes }, () => '127.0.0.1').join('\n'),
    SKYPILOT_NUM_GPUS_PER_NODE: String(task.gpusPerNode),
  }
}

/** SkyPilot's id of a task: when, what, which job. */
export function taskIdOf(job: JobRow): string {
  const at = new Date(job.submitted_at * 1_000).toISOString()
  const stamp = `${at.slice(0, 19).replaceAll(/[T:]/g, '-')}-${at.slice(20, 23)}000`
  return `sky-managed-${stamp}_${job.name}_${job.job_id}-0`
}
