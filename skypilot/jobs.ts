import { z } from 'zod'
import { logLines } from './log-lines.ts'
import type { CallOptions, Requests } from './requests.ts'
import { ManagedJobEvent, ManagedJobRecord, QueuePage, rows } from './schemas.ts'
import type { Transport } from './transport.ts'

export interface LaunchJob extends CallOptions {
  /** The task as YAML text. */
  task: string
  name: string
}

export interface QueueQuery extends CallOptions {
  skipFinished?: boolean
  /** Jobs of everybody, not only of our own user. True unless said otherwise: a job we cannot see would be started twice. */
  allUsers?: boolean
  jobIds?: readonly number[]
  /** A substring. SkyPilot matches with SQL's LIKE, so `_` is any character: compare names exactly yourself. */
  nameMatch?: string
  statuses?: readonly string[]
  page?: number
  limit?: number
  fields?: readonly string[]
}

export interface Queue {
  jobs: ManagedJobRecord[]
  total: number
  totalNoFilter: number
  /** Rows that could not be read. While there are any, absence proves nothing. */
  unreadable: number
}

export interface TailLogs {
  jobId: number
  follow?: boolean
  /** The last so many lines; all of them without it. */
  tail?: number
  /** The log of the controller (provisioning, recovery) in place of the job's own. */
  controller?: boolean
  signal?: AbortSignal
}

const Nothing = z.unknown()

/** Managed jobs: SkyPilot finds machines for them, recovers them, and takes the machines down at the end. */
export function createJobs(transport: Transport, requests: Requests) {
  return {
    /**
     * Asks for a managed job and returns the request id. **Not idempotent**: each call that arrives is one more job,
     * names are not unique, so this never retries by itself.
     */
    launch: ({ task, name, ...options }: LaunchJob): Promise<string> =>
      requests.submit('/jobs/launch', { task, name }, options),

    /** Lists jobs. Costs the real server 2.5 CPU-seconds whatever the number of jobs: ask for all at once. */
    async queue(query: QueueQuery = {}): Promise<Queue> {
      const { signal, timeoutMs } = query
      const page = await requests.call('/jobs/queue/v2', queueBody(query), QueuePage, {
        ...(signal ? { signal } : {}),
        ...(timeoutMs === undefined ? {} : { timeoutMs }),
      })
      const { read, unreadable } = rows(ManagedJobRecord, page.jobs)
      return { jobs: read, total: page.total, totalNoFilter: page.total_no_filter, unreadable }
    },

    /** Asks for the end of jobs. SkyPilot always says yes, also for unknown ids: watch the queue for the effect. */
    async cancel({ jobIds, ...options }: { jobIds: readonly number[] } & CallOptions): Promise<void> {
      if (jobIds.length === 0) throw new RangeError('no job ids: an empty selection would mean all of them')
      await requests.call('/jobs/cancel', { job_ids: jobIds }, Nothing, options)
    },

    /** The time line of one job, newest first. Cheap, unlike the queue. */
    async events({ jobId, limit, ...call }: { jobId: number; limit?: number } & CallOptions) {
      const body = { job_id: jobId, limit: limit ?? 10 }
      return requests.call('/jobs/events', body, z.array(ManagedJobEvent), call)
    },

    /**
     * Opens a job's log; iterating reads it line by line. Ends with the job when following; a job that has not
     * started is waited for.
     */
    async tailLogs({ jobId, follow, tail, controller, signal }: TailLogs): Promise<AsyncIterable<string>> {
      const body = {
        job_id: jobId,
        follow: follow ?? true,
        controller: controller ?? false,
        tail: tail ?? null,
      }
      return logLines(await transport.openLog({ method: 'POST', path: '/jobs/logs', body, signal }))
    },
  }
}

const queueBody = (query: QueueQuery): Record<string, unknown> => ({
  refresh: false,
  skip_finished: query.skipFinished ?? false,
  all_users: query.allUsers ?? true,
  job_ids: query.jobIds ?? null,
  name_match: query.nameMatch ?? null,
  statuses: query.statuses ?? null,
  page: query.page ?? null,
  limit: query.limit ?? null,
  fields: query.fields ?? null,
})
