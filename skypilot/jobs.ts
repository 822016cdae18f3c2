import { saysNoController, saysNoneInProgress } from './controllers.ts'
import type { Downloads } from './downloads.ts'
import type { Calls, LogStream, RequestHandle } from './handle.ts'
import { pagesOf, rowsOf } from './queue-pages.ts'
import type { CallOptions } from './requests.ts'
import type { Queue } from './results.ts'
import { type ManagedJobEvent, type ManagedJobRecord, wholeSeconds } from './schemas.ts'
import type { ServerInfo } from './server-info.ts'
import { type TaskInput, taskText } from './task-text.ts'

export interface LaunchJob extends CallOptions {
  task: TaskInput
  /** The task's own name without it. */
  name?: string
  /** Run on a worker of this pool, in place of a cluster of its own. */
  pool?: string
  /** So many copies of the job, on a pool. */
  numJobs?: number
  /** The managed job that this one belongs to, and is cancelled with. */
  parentJobId?: number
  /** From `uploadMounts`, for a task that has local files. */
  fileMountsBlobId?: string | null
}

export interface QueueQuery extends CallOptions {
  /**
   * Start the jobs controller where it is stopped. That happens without it too, where a stopped one may have what is
   * asked for: for everything but `skipFinished`. It takes minutes.
   */
  refresh?: boolean
  skipFinished?: boolean
  /** Jobs of everybody, not only of our own user. True unless said otherwise: a job we cannot see would be started twice. */
  allUsers?: boolean
  jobIds?: readonly number[]
  /** A substring. SkyPilot matches with SQL's LIKE, so `_` is any character: compare names exactly yourself. */
  nameMatch?: string
  userMatch?: string
  workspaceMatch?: string
  poolMatch?: string
  /** `cloud`, `cloud/region` or `cloud/region/zone`; `*` is any. */
  infraMatch?: string
  statuses?: readonly string[]
  submittedAfterMs?: number
  submittedBeforeMs?: number
  /** From 1. Needs `limit`. */
  page?: number
  limit?: number
  /** Only these, besides `job_id`, `task_id` and `status`; the others are null. */
  fields?: readonly string[]
  /** A field, such as `job_id` or `submitted_at`. */
  sortBy?: string
  sortOrder?: 'asc' | 'desc'
}

/** As `QueueQuery`, of all pages. */
export type PagedQuery = Omit<QueueQuery, 'page' | 'limit'> & {
  /** Jobs a page. 500 unless said otherwise. */
  pageSize?: number
}

/** Which jobs to cancel: some by id, those of a name or of a pool, or all. */
export type JobCancel = CallOptions & {
  /** Let mounted data be written back first. */
  graceful?: boolean
  gracefulTimeoutMs?: number
} & (
    | {
        jobIds: readonly number[]
        /** Of one job, only this task: its index or its name. */ task?: number | string
      }
    | { name: string }
    | { pool: string }
    | { all: true; allUsers?: boolean }
  )

/** One managed job: by id, or the latest of a name, or the latest of all. */
export type JobChoice = { jobId: number } | { name: string } | { latest: true }

export type TailJob = JobChoice & {
  /** To the end of the job, unless said otherwise. */
  follow?: boolean
  /** The last so many lines; all of them without it. */
  tail?: number
  /** Leave out so many lines at the end, before `tail` counts. */
  tailOffset?: number
  /** The log of the controller (provisioning, recovery) in place of the job's own. */
  controller?: boolean
  /** Start the jobs controller where it is stopped. */
  refresh?: boolean
  /** Of a job with several tasks: the index or the name of one. */
  task?: number | string
  signal?: AbortSignal
}

export interface JobEvents extends CallOptions {
  jobId: number
  /** The index or the name of one task. */
  task?: number | string
  limit?: number
  /** With the steps of provisioning. */
  includeClusterEvents?: boolean
}

/** Managed jobs: SkyPilot finds machines for them, recovers them, and takes the machines down at the end. */
export function createJobs(calls: Calls, downloads: Downloads, server: ServerInfo) {
  /** Lists jobs. Costs the real server 2.5 CPU-seconds whatever the number of jobs: ask for all at once. */
  async function queue(query: QueueQuery = {}): Promise<Queue> {
    if (query.infraMatch !== undefined) await server.requires('infraMatch', query)
    if (query.submittedAfterMs !== undefined || query.submittedBeforeMs !== undefined)
      await server.requires('submittedAfter', query)
    return askQueue(calls, query)
  }
  const queuePages = ({ pageSize, ...query }: PagedQuery = {}): AsyncGenerator<Queue, void> =>
    pagesOf((page, limit) => queue({ ...query, page, limit }), pageSize)

  return {
    queue,

    /** Lists jobs page by page, with one page in memory at a time. */
    queuePages,

    /** Lists jobs one by one, with one page in memory at a time. @throws SkyPilotError `protocol` for rows that cannot be read */
    queueAll: (query: PagedQuery = {}): AsyncGenerator<ManagedJobRecord, void> => rowsOf(queuePages(query)),

    /**
     * Asks for a managed job. **Not idempotent**: each call that arrives is one more job, names are not unique, so this
     * never retries by itself. The job is durable once the request has succeeded.
     */
    async launch(launch: LaunchJob): Promise<RequestHandle<{ jobIds: number[] }>> {
      if (launch.parentJobId !== undefined) await server.requires('parentJobId', launch)
      return calls.begin('jobs.launch', { path: '/jobs/launch', body: launchBody(launch) }, launch)
    },

    /**
     * Asks for the end of jobs. SkyPilot always says yes, also for unknown ids and for a name that several jobs have:
     * watch the queue for the effect, or read the request's log.
     * @throws RangeError for an empty list of ids
     */
    async cancel(selection: JobCancel): Promise<RequestHandle<undefined>> {
      if ('jobIds' in selection && selection.jobIds.length === 0)
        throw new RangeError('no job ids: an empty selection would mean all of them')
      if ('task' in selection && selection.task !== undefined) await server.requires('cancelTask', selection)
      return calls.begin('jobs.cancel', { path: '/jobs/cancel', body: cancelBody(selection) }, selection)
    },

    /** The time line of one job, newest first. Cheap, unlike the queue. */
    events({ jobId, task, limit, includeClusterEvents, ...options }: JobEvents): Promise<ManagedJobEvent[]> {
      const body = {
        job_id: jobId,
        task: task ?? null,
        limit: limit ?? 10,
        include_cluster_events: includeClusterEvents ?? false,
      }
      return calls.ask('jobs.events', { path: '/jobs/events', body }, options)
    },

    /** Opens a job's log. Ends with the job when following; a job that has not started is waited for. */
    async tailLogs(tail: TailJob): Promise<LogStream> {
      return calls.tail('jobs.logs', { path: '/jobs/logs', body: tailBody(tail) }, tail.signal)
    },

    /**
     * Lets the server wait for the end of a job. It keeps one of its few workers busy meanwhile: a service that watches
     * many jobs reads the queue. The result is an exit code as in `LogStream.exitCode`.
     */
    wait(wait: JobChoice & { task?: number | string; giveUpAfterMs?: number } & CallOptions) {
      const body = { ...choice(wait), timeout: wholeSeconds(wait.giveUpAfterMs), task: wait.task ?? null }
      return calls.begin('jobs.wait', { path: '/jobs/wait', body }, wait)
    },

    /** Fetches the logs of a job into a folder of ours; gives back the folder of each job, by its id. */
    async downloadLogs(
      job: JobChoice & { into: string; controller?: boolean; refresh?: boolean } & CallOptions,
    ): Promise<Map<number, string>> {
      const body = { ...choice(job), refresh: job.refresh ?? false, controller: job.controller ?? false }
      const there = await calls.ask('jobs.download_logs', { path: '/jobs/download_logs', body }, job)
      return downloads.folders(there, job.into, job)
    },
  }
}

const NO_JOBS: Queue = { jobs: [], total: 0, totalNoFilter: 0, statusCounts: {}, unreadable: 0 }

/**
 * Without a jobs controller there are no jobs, which SkyPilot tells as an error. Nor has a stopped one any that lives, for
 * it stops only when all are over; to know of those it is started.
 */
async function askQueue(calls: Calls, query: QueueQuery): Promise<Queue> {
  try {
    return await calls.ask('jobs.queue_v2', { path: '/jobs/queue/v2', body: queueBody(query) }, query)
  } catch (error) {
    if (query.refresh && saysNoController(error)) return NO_JOBS
    if (query.refresh || !saysNoneInProgress(error)) throw error
    return query.skipFinished ? NO_JOBS : askQueue(calls, { ...query, refresh: true })
  }
}

const choice = (job: JobChoice) => ({
  job_id: 'jobId' in job ? job.jobId : null,
  name: 'name' in job ? job.name : null,
})

const launchBody = (launch: LaunchJob) => ({
  task: taskText(launch.task),
  name: launch.name ?? null,
  pool: launch.pool ?? null,
  num_jobs: launch.numJobs ?? null,
  parent_job_id: launch.parentJobId ?? null,
  job_group_explicit: launch.parentJobId !== undefined,
  file_mounts_blob_id: launch.fileMountsBlobId ?? null,
})

const tailBody = (tail: TailJob) => ({
  ...choice(tail),
  follow: tail.follow ?? true,
  controller: tail.controller ?? false,
  refresh: tail.refresh ?? false,
  tail: tail.tail ?? null,
  tail_offset: tail.tailOffset ?? null,
  task: tail.task ?? null,
})

function cancelBody(selection: JobCancel): Record<string, unknown> {
  const { graceful, gracefulTimeoutMs } = selection
  return {
    job_ids: 'jobIds' in selection ? selection.jobIds : null,
    task: 'task' in selection ? (selection.task ?? null) : null,
    name: 'name' in selection ? selection.name : null,
    pool: 'pool' in selection ? selection.pool : null,
    all: 'all' in selection,
    all_users: 'all' in selection && (selection.allUsers ?? false),
    graceful: graceful ?? false,
    graceful_timeout: wholeSeconds(gracefulTimeoutMs),
  }
}

const queueBody = (query: QueueQuery): Record<string, unknown> => ({
  refresh: query.refresh ?? false,
  skip_finished: query.skipFinished ?? false,
  all_users: query.allUsers ?? true,
  ...filters(query),
  page: query.page ?? null,
  limit: query.limit ?? null,
  fields: query.fields ?? null,
  sort_by: query.sortBy ?? null,
  sort_order: query.sortOrder ?? null,
})

const filters = (query: QueueQuery): Record<string, unknown> => ({
  job_ids: query.jobIds ?? null,
  name_match: query.nameMatch ?? null,
  user_match: query.userMatch ?? null,
  workspace_match: query.workspaceMatch ?? null,
  pool_match: query.poolMatch ?? null,
  infra_match: query.infraMatch ?? null,
  statuses: query.statuses ?? null,
  submitted_after: query.submittedAfterMs === undefined ? null : query.submittedAfterMs / 1_000,
  submitted_before: query.submittedBeforeMs === undefined ? null : query.submittedBeforeMs / 1_000,
})
