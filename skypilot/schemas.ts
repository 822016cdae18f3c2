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

/** A cluster, as `/status` lists it. One that is gone has no row. */
export const ClusterRecord = z
  .object({
    name: z.string().min(1),
    status: z.string().min(1),
    launched_at: seconds,
    status_updated_at: seconds,
    autostop: z.number().nullish(),
    to_down: z.boolean().nullish(),
    cluster_hash: text,
    init_status_reason: text,
    resources_str: text,
    nodes: z
      .int()
      .nullish()
      .transform((value) => value ?? null),
    cloud: text,
    region: text,
    infra: text,
    user_hash: text,
  })
  .transform((row) => ({
    name: row.name,
    status: row.status,
    launchedAtMs: row.launched_at,
    statusUpdatedAtMs: row.status_updated_at,
    /** Minutes without a job; null where autostop is off. */
    autostopMinutes: row.autostop == null || row.autostop < 0 ? null : row.autostop,
    goesDownWhenIdle: row.to_down ?? false,
    clusterHash: row.cluster_hash,
    statusReason: row.init_status_reason,
    resources: row.resources_str,
    nodes: row.nodes,
    cloud: row.cloud,
    region: row.region,
    infra: row.infra,
    userHash: row.user_hash,
  }))
export type ClusterRecord = z.infer<typeof ClusterRecord>

/** A job of a cluster, as `/queue` lists it. Ids count from 1 in each life of a cluster. */
export const ClusterJobRecord = z
  .object({
    job_id: z.int().positive(),
    job_name: text,
    status: z.string().min(1),
    submitted_at: seconds,
    start_at: seconds,
    end_at: seconds,
    resources: text,
    user_hash: text,
  })
  .transform((row) => ({
    jobId: row.job_id,
    jobName: row.job_name ?? '',
    status: row.status,
    submittedAtMs: row.submitted_at,
    startAtMs: row.start_at,
    endAtMs: row.end_at,
    resources: row.resources,
    userHash: row.user_hash,
  }))

/** What a cluster cost, also one that is gone: its status is null then. */
export const CostRecord = z
  .object({
    name: z.string(),
    cluster_hash: text,
    launched_at: seconds,
    duration: z.number().nullish(),
    status: text,
    total_cost: z.number().nullish(),
    usage_intervals: z.array(z.tuple([z.number(), z.number().nullable()])).nullish(),
    resources_str: text,
  })
  .transform((row) => ({
    name: row.name,
    clusterHash: row.cluster_hash,
    launchedAtMs: row.launched_at,
    durationMs: (row.duration ?? 0) * 1_000,
    status: row.status,
    /** US dollars; null where the server does not know. */
    totalCost: row.total_cost ?? null,
    /** Whether the machines are still in use, which is to say paid for. */
    isInUse: (row.usage_intervals ?? []).some(([, until]) => until === null),
    resources: row.resources_str,
  }))
export type CostRecord = z.infer<typeof CostRecord>

export const ClusterEvent = z
  .object({ reason: z.string(), transitioned_at: z.number() })
  .transform((row) => ({ reason: row.reason, atMs: row.transitioned_at * 1_000 }))

/** The server's clock writes no zone; it is UTC. */
const instant = z
  .string()
  .transform((value) => Date.parse(/(?:Z|[+-]\d\d:\d\d)$/.test(value) ? value : `${value}Z`))
  .refine((value) => !Number.isNaN(value), 'not a time')

/** A line of a managed job's time line. */
export const ManagedJobEvent = z
  .object({ task_id: z.int().nullish(), new_status: text, reason: text, timestamp: instant })
  .transform((row) => ({
    taskId: row.task_id ?? 0,
    status: row.new_status,
    reason: row.reason ?? '',
    atMs: row.timestamp,
  }))

/** Parses rows one by one and counts those that cannot be read. */
export function rows<T>(schema: z.ZodType<T>, values: readonly unknown[]): { read: T[]; unreadable: number } {
  const read: T[] = []
  for (const value of values) {
    const row = schema.safeParse(value)
    if (row.success) read.push(row.data)
  }
  return { read, unreadable: values.length - read.length }
}
