import type { Downloads } from './downloads.ts'
import type { Calls, LogStream, RequestHandle } from './handle.ts'
import type { CallOptions } from './requests.ts'
import type { ClusterQueue } from './results.ts'
import { type TaskInput, taskText } from './task-text.ts'

export interface ClusterJobs extends CallOptions {
  name: string
  /** The latest job without it. */
  jobIds?: readonly number[]
}

export interface ExecTask extends CallOptions {
  task: TaskInput
  name: string
  /** Only plan: there is no job. */
  dryrun?: boolean
  /** Take the cluster down when the job is done. */
  down?: boolean
  /** From `uploadMounts`, for a task that has a local workdir. */
  fileMountsBlobId?: string | null
}

export interface ClusterQueueQuery extends CallOptions {
  name: string
  skipFinished?: boolean
  /** Jobs of everybody. True unless said otherwise. */
  allUsers?: boolean
}

/** Which jobs of a cluster to cancel: some by id, or all, or the one that was started last. */
export type ClusterCancel = CallOptions & { name: string } & (
    | { jobIds: readonly number[] }
    | { all: true; allUsers?: boolean }
    | { latest: true }
  )

export interface ClusterTail {
  name: string
  /** The latest job without it. */
  jobId?: number
  /** To the end of the job, unless said otherwise. A job that waits is waited for. */
  follow?: boolean
  /** The last so many lines; all of them without it. */
  tail?: number
  signal?: AbortSignal
}

/** The jobs of clusters. Each question is a way over SSH to the cluster, about 2 s on a real server. */
export function createClusterJobs(calls: Calls, downloads: Downloads) {
  return {
    /** Submits a job to a cluster that is up, without setup. **Not idempotent**, like `launch`. */
    exec: ({ task, name, dryrun, down, fileMountsBlobId, ...options }: ExecTask) => {
      const body = {
        task: taskText(task),
        cluster_name: name,
        dryrun: dryrun ?? false,
        down: down ?? false,
        file_mounts_blob_id: fileMountsBlobId ?? null,
      }
      return calls.begin('exec', { path: '/exec', body }, options)
    },

    /** The jobs of a cluster, newest first. While there are `unreadable` rows, absence proves nothing. */
    queue({ name, skipFinished, allUsers, ...options }: ClusterQueueQuery): Promise<ClusterQueue> {
      const body = { cluster_name: name, skip_finished: skipFinished ?? false, all_users: allUsers ?? true }
      return calls.ask('queue', { path: '/queue', body }, options)
    },

    /** The status of jobs by id; null for a job that the cluster does not have. */
    jobStatus({ name, jobIds, ...options }: ClusterJobs): Promise<Map<number, string | null>> {
      const body = { cluster_name: name, job_ids: jobIds ?? null }
      return calls.ask('job_status', { path: '/job_status', body }, options)
    },

    /**
     * Cancels jobs of a cluster. One that is over already is a silent success.
     * @throws RangeError for an empty list of ids, which would mean the latest job
     */
    async cancel(selection: ClusterCancel): Promise<RequestHandle<undefined>> {
      if ('jobIds' in selection && selection.jobIds.length === 0)
        throw new RangeError('no job ids: name the jobs to cancel')
      const all = 'all' in selection
      const body = {
        cluster_name: selection.name,
        job_ids: 'jobIds' in selection ? selection.jobIds : null,
        all,
        all_users: all && (selection.allUsers ?? false),
      }
      return calls.begin('cancel', { path: '/cancel', body }, selection)
    },

    /** Opens the log of a job. Ends with the job when following. */
    tailLogs({ name, jobId, follow, tail, signal }: ClusterTail): Promise<LogStream> {
      const body = { cluster_name: name, job_id: jobId ?? null, follow: follow ?? true, tail: tail ?? 0 }
      return calls.tail('logs', { path: '/logs', body }, signal)
    },

    /** Fetches the logs of jobs into a folder of ours; gives back the folder of each job, by its id. */
    async downloadLogs({
      name,
      jobIds,
      into,
      ...options
    }: ClusterJobs & { into: string }): Promise<Map<number, string>> {
      const body = { cluster_name: name, job_ids: jobIds ? jobIds.map(String) : null }
      const there = await calls.ask('download_logs', { path: '/download_logs', body }, options)
      return downloads.folders(there, into, options)
    },
  }
}
