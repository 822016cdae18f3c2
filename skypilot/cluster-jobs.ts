import { z } from 'zod'
import { submitted } from './handle.ts'
import { logLines } from './log-lines.ts'
import type { CallOptions, Requests } from './requests.ts'
import { ClusterJobRecord, rows } from './schemas.ts'
import type { Transport } from './transport.ts'

export interface JobSelection extends CallOptions {
  name: string
  /** The latest job without it. */
  jobIds?: readonly number[]
}

/** What a launch or an exec gives back: the job, or null for a task without a command. */
export const Submitted = z
  .object({ job_id: z.int().positive().nullish() })
  .transform(({ job_id: jobId }) => ({ jobId: jobId ?? null }))
const Statuses = z.record(z.string().regex(/^\d+$/), z.string().nullable())
const Nothing = z.unknown()

/** The jobs of clusters. Each question is a way over SSH to the cluster, about 2 s on a real server. */
export function createClusterJobs(transport: Transport, requests: Requests) {
  const parts = { transport, requests }
  return {
    /** Submits a job to a cluster that is up, without setup. **Not idempotent**, like `launch`. */
    exec: ({ task, name, ...options }: { task: string; name: string } & CallOptions) =>
      submitted(parts, { path: '/exec', body: { task, cluster_name: name }, schema: Submitted, options }),

    /** The jobs of a cluster, newest first. While there are `unreadable` rows, absence proves nothing. */
    async queue(query: { name: string; skipFinished?: boolean; allUsers?: boolean } & CallOptions) {
      const { name, skipFinished, allUsers, ...call } = query
      const body = { cluster_name: name, skip_finished: skipFinished ?? false, all_users: allUsers ?? true }
      const { read, unreadable } = rows(
        ClusterJobRecord,
        await requests.call('/queue', body, z.array(z.unknown()), call),
      )
      return { jobs: read, unreadable }
    },

    /** The status of jobs by id; null for a job that the cluster does not have. */
    async jobStatus({ name, jobIds, ...call }: JobSelection): Promise<Map<number, string | null>> {
      const body = { cluster_name: name, job_ids: jobIds ?? null }
      const statuses = await requests.call('/job_status', body, Statuses, call)
      return new Map(Object.entries(statuses).map(([id, status]) => [Number(id), status]))
    },

    /** Cancels jobs of a cluster. One that is over already is a silent success. */
    async cancel({ name, jobIds, ...call }: JobSelection & { jobIds: readonly number[] }): Promise<void> {
      if (jobIds.length === 0) throw new RangeError('no job ids: name the jobs to cancel')
      await requests.call('/cancel', { cluster_name: name, job_ids: jobIds }, Nothing, call)
    },

    /** Opens the log of a job; the latest job's without an id. Ends with the job when following. */
    async tailLogs(tail: {
      name: string
      jobId?: number
      follow?: boolean
      /** The last so many lines; all of them without it. */
      tail?: number
      signal?: AbortSignal
    }): Promise<AsyncIterable<string>> {
      const body = {
        cluster_name: tail.name,
        job_id: tail.jobId ?? null,
        follow: tail.follow ?? true,
        tail: tail.tail ?? 0,
      }
      const { signal } = tail
      return logLines(await transport.openLog({ method: 'POST', path: '/logs', body, signal }))
    },
  }
}
