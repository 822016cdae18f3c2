import { z } from 'zod'

/** Seconds, as the server writes times and durations, in ms. */
export const milliseconds = (seconds: number | null | undefined): number | null =>
  seconds == null ? null : Math.round(seconds * 1_000)
/** The server counts its patience in whole seconds. */
export const wholeSeconds = (durationMs: number | undefined): number | null =>
  durationMs === undefined ? null : Math.ceil(durationMs / 1_000)

const seconds = z.number().nullish().transform(milliseconds)
const text = z
  .string()
  .nullish()
  .transform((value) => value ?? null)

/** What is only shown: a value of another shape is null, for it must not hide the row that it stands in. */
const shown = {
  text: text.catch(null),
  number: z
    .number()
    .nullish()
    .transform((value) => value ?? null)
    .catch(null),
  texts: z
    .record(z.string(), z.string())
    .nullish()
    .transform((value) => value ?? {})
    .catch({}),
}

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
    task_name: shown.text,
    job_duration: shown.number,
    last_recovered_at: shown.number,
    workspace: shown.text,
    pool: shown.text,
    user_name: shown.text,
    user_hash: shown.text,
    user_yaml: shown.text,
    cluster_name_on_cloud: shown.text,
    cluster_resources: shown.text,
    node_names: shown.text,
    labels: shown.texts,
    links: shown.texts,
    parent_job_id: shown.number,
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
    taskName: row.task_name,
    durationMs: milliseconds(row.job_duration),
    lastRecoveredAtMs: milliseconds(row.last_recovered_at),
    workspace: row.workspace,
    pool: row.pool,
    userName: row.user_name,
    userHash: row.user_hash,
    /** The task as it was submitted. Only with `fields`, or without any: it is long. */
    userYaml: row.user_yaml,
    clusterNameOnCloud: row.cluster_name_on_cloud,
    clusterResources: row.cluster_resources,
    nodeNames: row.node_names,
    labels: row.labels,
    links: row.links,
    parentJobId: row.parent_job_id,
  }))
export type ManagedJobRecord = z.infer<typeof ManagedJobRecord>

/** The envelope of a queue; its rows are parsed one by one, so that one bad row costs one row. */
export const QueuePage = z.object({
  jobs: z.array(z.unknown()),
  total: z.int().nonnegative(),
  total_no_filter: z.int().nonnegative(),
  status_counts: z.record(z.string(), z.int().nonnegative()).nullish().catch(null),
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
  user_name: z.string().nullish(),
  status_msg: z.string().nullish(),
  created_at: z.number().nullish(),
  finished_at: z.number().nullish(),
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

/** A cluster, as `/status` lists it. One that is gone has no row. */
export const ClusterRecord = z
  .object({
    name: z.string().min(1),
    status: z.string().min(1),
    launched_at: seconds,
    status_updated_at: seconds,
    autostop: z.number().nullish(),
    to_down: z.boolean().nullish(),
    cluster_hash: shown.text,
    cluster_ever_up: z.boolean().nullish().catch(null),
    init_status_reason: shown.text,
    resources_str: shown.text,
    nodes: shown.number,
    cloud: shown.text,
    region: shown.text,
    infra: shown.text,
    user_hash: shown.text,
    user_name: shown.text,
    workspace: shown.text,
    last_event: shown.text,
    node_names: shown.text,
    labels: shown.texts,
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
    /** Whether it was ever ready for jobs; null where SkyPilot does not say. */
    everUp: row.cluster_ever_up ?? null,
    statusReason: row.init_status_reason,
    resources: row.resources_str,
    nodes: row.nodes,
    cloud: row.cloud,
    region: row.region,
    infra: row.infra,
    userHash: row.user_hash,
    userName: row.user_name,
    workspace: row.workspace,
    lastEvent: row.last_event,
    nodeNames: row.node_names,
    labels: row.labels,
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
export type ClusterJobRecord = z.infer<typeof ClusterJobRecord>

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
    resources_str: shown.text,
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
export type ClusterEvent = z.infer<typeof ClusterEvent>

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
export type ManagedJobEvent = z.infer<typeof ManagedJobEvent>

/** Parses rows one by one and counts those that cannot be read. */
export function rows<T>(schema: z.ZodType<T>, values: readonly unknown[]): { read: T[]; unreadable: number } {
  const read: T[] = []
  for (const value of values) {
    const row = schema.safeParse(value)
    if (row.success) read.push(row.data)
  }
  return { read, unreadable: values.length - read.length }
}
