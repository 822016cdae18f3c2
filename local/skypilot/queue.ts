import { z } from 'zod'
import { taskOf } from './jobs.ts'
import type { JobRow } from './state.ts'
import { taskIdOf } from './surroundings.ts'

const list = <T extends z.ZodType>(item: T) => z.array(item).nullish()

/** The body of `/jobs/queue/v2`. */
export const QueueBody = z.object({
  skip_finished: z.boolean().default(false),
  all_users: z.boolean().default(false),
  job_ids: list(z.int()),
  name_match: z.string().nullish(),
  user_match: z.string().nullish(),
  workspace_match: z.string().nullish(),
  pool_match: z.string().nullish(),
  infra_match: z.string().nullish(),
  statuses: list(z.string()),
  submitted_after: z.number().nullish(),
  submitted_before: z.number().nullish(),
  page: z.int().min(1).nullish(),
  limit: z.int().min(1).nullish(),
  fields: list(z.string()),
})
export type QueueBody = z.infer<typeof QueueBody>

const INFRA = 'local/this-machine'
const ALWAYS = ['job_id', 'task_id', 'status']

/** Answers `/jobs/queue/v2` from the jobs, newest first. */
export function queueAnswer(jobs: readonly JobRow[], query: QueueBody, userId: string) {
  const visible = jobs.filter((job) => query.all_users || job.user_hash === userId)
  const matching = visible.filter((job) => FILTERS.every((fits) => fits(job, query)))
  const limit = query.limit ?? matching.length
  const from = ((query.page ?? 1) - 1) * limit
  const counts: Record<string, number> = {}
  for (const { status } of matching) counts[status] = (counts[status] ?? 0) + 1
  return {
    jobs: matching.slice(from, from + limit).map((job) => trimmed(recordOf(job), query.fields)),
    total: matching.length,
    total_no_filter: visible.length,
    status_counts: counts,
    infra_options: matching.length === 0 ? [] : [INFRA],
  }
}

const FILTERS: ReadonlyArray<(job: JobRow, query: QueueBody) => boolean> = [
  (job, { skip_finished: skip }) => !skip || job.end_at === null,
  (job, { job_ids: ids }) => ids == null || ids.includes(job.job_id),
  (job, { name_match: part }) => part == null || like(job.name, part),
  (job, { user_match: part }) => part == null || like(job.user_name, part),
  (_job, { workspace_match: part }) => part == null || like('default', part),
  (_job, { pool_match: part }) => part == null,
  (_job, { infra_match: part }) => part == null || like(INFRA, part),
  (job, { statuses }) => statuses == null || statuses.includes(job.status),
  (job, { submitted_after: at }) => at == null || job.submitted_at >= at,
  (job, { submitted_before: at }) => at == null || job.submitted_at <= at,
]

/** SQL's LIKE with the pattern in the middle, as the real server matches: `_` is any character, `%` any text. */
function like(text: string, part: string): boolean {
  const pattern = part
    .replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
    .replaceAll('_', '.')
    .replaceAll('%', '.*')
  return new RegExp(pattern, 'is').test(text)
}

function trimmed(record: Record<string, unknown>, fields: readonly string[] | null | undefined) {
  if (fields == null) return record
  const kept = new Set([...fields, ...ALWAYS])
  return Object.fromEntries(Object.entries(record).filter(([key]) => kept.has(key)))
}

/** A row of the queue, with every field that the real server sends. */
function recordOf(job: JobRow): Record<string, unknown> {
  const task = taskOf(job)
  const end = job.end_at ?? Date.now() / 1_000
  return {
    ...NOT_HERE,
    _job_id: job.job_id,
    job_id: job.job_id,
    task_id: 0,
    job_name: job.name,
    task_name: job.name,
    job_duration: job.start_at === null ? 0 : end - job.start_at,
    workspace: 'default',
    status: job.status,
    schedule_state: job.schedule_state,
    resources: task.resources,
    cluster_resources: task.resources,
    cluster_resources_full: task.resources,
    cloud: 'Local',
    region: 'this-machine',
    zone: null,
    infra: INFRA,
    recovery_count: job.recovery_count,
    details: job.details,
    failure_reason: job.failure_reason,
    user_name: job.user_name,
    user_hash: job.user_hash,
    submitted_at: job.submitted_at,
    start_at: job.start_at,
    end_at: job.end_at,
    user_yaml: job.yaml,
    entrypoint: '',
    last_recovered_at: job.last_recovered_at ?? job.start_at,
    run_timestamp: taskIdOf(job).replace('sky-managed-', 'sky-').split('_')[0],
    cluster_name_on_cloud: `${job.name}-${job.job_id}`,
  }
}

/** Fields that have no meaning on one machine, as the real server sends them for a plain job. */
const NOT_HERE = {
  metadata: {},
  controller_pid: null,
  controller_pid_started_at: null,
  dag_yaml_path: null,
  env_file_path: null,
  priority: 0,
  priority_class: null,
  original_user_yaml_path: null,
  pool: null,
  pool_hash: null,
  current_cluster_name: null,
  job_id_on_pool_cluster: null,
  accelerators: null,
  labels: null,
  links: null,
  node_names: null,
  execution: 'serial',
  is_job_group: false,
  is_primary_in_job_group: null,
  root_job_id: null,
  parent_job_id: null,
  parent_task_id: null,
  dynamic_task_index: null,
  is_batch: false,
  batch_total_batches: null,
  batch_completed_batches: null,
  internal_external_ips: [['127.0.0.1', '127.0.0.1']],
  internal_services: {},
}
