import { z } from 'zod'

const seconds = z
  .number()
  .nullish()
  .transform((value) => (value == null ? null : Math.round(value * 1_000)))
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? null)

/** One task of a managed job, as `/jobs/queue/v2` lists it. Times are ms since the epoch. */
export const ManagedJobRecord = z
  .object({
    job_id: z.int().positive(),
    task_id: z
      .int()
      .nullish()
      .transform((value) => value ?? 0),
    job_name: text,
    status: z.string().min(1),
    schedule_state: text,
    submitted_at: seconds,
    start_at: seconds,
    end_at: seconds,
    recovery_count: z
      .int()
      .nullish()
      .transform((value) => value ?? 0),
    failure_reason: text,
    details: text,
    resources: text,
    infra: text,
  })
  .transform((row) => ({
    jobId: row.job_id,
    taskId: row.task_id,
    jobName: row.job_name ?? '',
    status: row.status,
    scheduleState: row.schedule_state,
    submittedAtMs: row.submitted_at,
    startAtMs: row.start_at,
    endAtMs: row.end_at,
    recoveryCount: row.recovery_count,
    failureReason: row.failure_reason,
    details: row.details,
    resources: row.resources,
    infra: row.infra,
  }))
export type ManagedJobRecord = z.infer<typeof ManagedJobRecord>

/** The envelope of a queue; its rows are parsed one by one, so that one bad row costs one row. */
export const QueuePage = z.object({
  jobs: z.array(z.unknown()),
  total: z.int().nonnegative(),
  total_no_filter: z.int().nonnegative(),
})

/** One request of the server's table. `error` and `return_value` are strings that hold JSON. */
export const RequestPayload = z.object({
  request_id: z.string(),
  name: z.string(),
  status: z.string(),
  return_value: z.string().nullish(),
  error: z.string().nullish(),
  request_body: z.string().nullish(),
  cluster_name: z.string().nullish(),
})
export type RequestPayload = z.infer<typeof RequestPayload>

export const RemoteError = z.object({ type: z.string(), message: z.string() })

export const FailedRequest = z.object({ detail: RequestPayload })

export const Health = z.object({
  status: z.string(),
  api_version: z.string(),
  version: z.string(),
})
export type Health = z.infer<typeof Health>

export const LaunchResult = z.object({
  job_id: z.union([z.array(z.int().positive()), z.int().positive(), z.null()]),
})

export const ClusterRecord = z
  .object({
    name: z.string(),
    status: z.string(),
    launched_at: seconds,
    resources_str: text,
    nodes: z
      .int()
      .nullish()
      .transform((value) => value ?? null),
    infra: text,
  })
  .transform((row) => ({
    name: row.name,
    status: row.status,
    launchedAtMs: row.launched_at,
    resources: row.resources_str,
    nodes: row.nodes,
    infra: row.infra,
  }))
export type ClusterRecord = z.infer<typeof ClusterRecord>

/** Parses rows one by one and counts those that cannot be read. */
export function rows<T>(schema: z.ZodType<T>, values: readonly unknown[]): { read: T[]; unreadable: number } {
  const read: T[] = []
  for (const value of values) {
    const row = schema.safeParse(value)
    if (row.success) read.push(row.data)
  }
  return { read, unreadable: values.length - read.length }
}
