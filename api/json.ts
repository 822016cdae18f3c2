import { z } from '@hono/zod-openapi'
import { buildCommand } from '../core/build-command.ts'
import type { Phase } from '../core/explain.ts'
import { HEADLINE_WORDS } from '../core/headline.ts'
import { CANNOT_SEE } from '../core/sight.ts'
import { DESIRED_STATES, EXECUTORS } from '../core/spec.ts'
import type { AttemptRow } from '../store/attempts.ts'
import type { ExperimentRow } from '../store/experiments.ts'
import { policyJson, policyJsonFields } from './policy-input.ts'
import type { SeenRow } from './seen.ts'

/** The states of the original SkyDeck. */
export const CURRENT_STATES = [
  'INIT',
  'PENDING',
  'STARTING',
  'RUNNING',
  'SUCCEEDED',
  'FAILED',
  'CANCELLED',
  'UNKNOWN',
] as const
export type CurrentState = (typeof CURRENT_STATES)[number]

const STATE_OF_PHASE: Readonly<Record<Phase, CurrentState>> = {
  idle: 'INIT',
  queued: 'PENDING',
  starting: 'STARTING',
  waiting: 'PENDING',
  running: 'RUNNING',
  recovering: 'STARTING',
  backoff: 'PENDING',
  stopping: 'RUNNING',
  finishing: 'RUNNING',
  succeeded: 'SUCCEEDED',
  failed: 'FAILED',
  lost: 'UNKNOWN',
  stopped: 'INIT',
  terminated: 'INIT',
}

/** How the original would call a status of SkyPilot's. An unknown word is a live job. */
export function jobStateOf(status: string, outcome: string | null): CurrentState {
  if (outcome === 'succeeded') return 'SUCCEEDED'
  if (outcome === 'cancelled') return 'CANCELLED'
  if (outcome === 'lost') return 'UNKNOWN'
  if (outcome !== null) return 'FAILED'
  if (status === 'PENDING' || status === 'SUBMITTED') return 'PENDING'
  if (status === 'STARTING' || status === 'RECOVERING' || status === 'LAUNCHING') return 'STARTING'
  return 'RUNNING'
}

const time = z.iso.datetime()
const text = z.string().nullable()

export const ExperimentJson = z
  .object({
    id: z.int(),
    name: z.string(),
    desired_state: z.enum(DESIRED_STATES),
    current_state: z.enum(CURRENT_STATES),
    phase: z.string().openapi({ description: "SkyDeck's own word for where it stands" }),
    headline: z.string().openapi({
      description: `why it is as it is, from a closed list: ${[CANNOT_SEE, ...HEADLINE_WORDS].join(', ')}`,
    }),
    headline_since: time,
    why: z.string().openapi({ description: 'the same in one sentence' }),
    evidence: z.array(z.string()).openapi({ description: 'what that rests on, the most telling first' }),
    next: text.openapi({ description: 'what happens next by itself, or what you can do' }),
    next_at: time.nullable(),
    held_by: text.openapi({ description: 'who said hands off' }),
    held_reason: text,
    queue: z
      .object({ place: z.int(), of: z.int() })
      .nullable()
      .openapi({ description: 'its place among all that wait for their launch' }),
    owner: z.string(),
    executor: z.enum(EXECUTORS),
    ...policyJsonFields,
    cluster: z
      .object({
        name: z.string(),
        status: text,
        autostop_minutes: z.int().nullable(),
        launched_at: time.nullable(),
      })
      .nullable()
      .openapi({ description: 'its own cluster, as long as that may exist' }),
    flags: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
    base_command: z.string(),
    tool_path: text,
    git_branch: text,
    command: z.string().openapi({ description: 'the exact command line of the next run' }),
    cluster_name: text,
    latest_epoch: z.int().nullable(),
    nodes: z.int(),
    gpus: z.int(),
    accelerator: text,
    instance_type: text,
    cloud: text,
    spot: z.boolean(),
    created_at: time,
    updated_at: time,
    wandb_link: text,
    description: text,
    tags: z.array(z.string()),
    group: text,
    order: z.int(),
    is_expanded: z.boolean(),
    starred: z.boolean(),
    deleted: z.boolean(),
    run: z.int(),
    job: text.openapi({ description: 'its current job, as /api/jobs/{id} knows it' }),
    job_id: z.int().nullable().openapi({ description: "SkyPilot's id of it, if it is a managed job" }),
    exit_code: z.int().nullable(),
    seen_at: time.nullable(),
    generation: z.int(),
    revision: z.int(),
  })
  .openapi('Experiment')
export type ExperimentJson = z.infer<typeof ExperimentJson>

/** The answer of every route about one experiment. */
export const One = z.object({ experiment: ExperimentJson })

export const iso = (ms: number): string => new Date(ms).toISOString()
const isoOrNull = (ms: number | null): string | null => (ms === null ? null : iso(ms))

export function experimentJson(row: SeenRow): ExperimentJson {
  const { command, flags, nodes, gpus, accelerator, instanceType, cloud, spot } = row.spec
  const launcher = command.form === 'launcher' ? command : null
  return {
    id: row.id,
    name: row.name,
    desired_state: row.desiredState,
    current_state: STATE_OF_PHASE[row.phase],
    phase: row.phase,
    ...explanationOf(row),
    owner: row.owner,
    executor: row.spec.executor,
    ...policyJson(row.policy),
    cluster: clusterOf(row),
    flags,
    base_command: launcher?.baseCommand ?? '',
    tool_path: launcher?.toolPath ?? null,
    git_branch: launcher?.gitBranch ?? null,
    command: buildCommand(row.name, row.spec).line,
    cluster_name: row.clusterName,
    latest_epoch: null,
    nodes,
    gpus,
    accelerator,
    instance_type: instanceType,
    cloud,
    spot,
    created_at: iso(row.createdAtMs),
    updated_at: iso(row.updatedAtMs),
    wandb_link: null,
    description: row.description,
    tags: row.tags,
    group: row.label,
    order: row.sortOrder,
    is_expanded: row.isExpanded,
    starred: row.starred,
    deleted: row.deletedAtMs !== null,
    run: row.run,
    job: row.jobKey,
    job_id: row.jobKey?.includes('.') ? null : row.jobId,
    exit_code: row.exitCode,
    seen_at: isoOrNull(row.seenAtMs),
    generation: row.desiredGeneration,
    revision: row.revision,
  }
}

const explanationOf = (row: SeenRow) => ({
  headline: row.headline,
  headline_since: iso(row.headlineSinceMs),
  why: row.why,
  evidence: row.evidence,
  next: row.next,
  next_at: isoOrNull(row.nextAtMs),
  held_by: row.heldBy,
  held_reason: row.heldReason,
  queue: row.queue,
})

const clusterOf = (row: SeenRow): ExperimentJson['cluster'] =>
  row.clusterName === null
    ? null
    : {
        name: row.clusterName,
        status: row.clusterStatus,
        autostop_minutes: row.clusterAutostopMinutes,
        launched_at: isoOrNull(row.clusterLaunchedAtMs),
      }

export const JobJson = z
  .object({
    id: z
      .string()
      .openapi({ description: 'of a managed job its number, of a job on a cluster experiment.run.attempt' }),
    experiment_id: z.string().openapi({ description: 'the name under which the job was submitted' }),
    cluster_name: z.string(),
    sky_job_id: z.int().nullable(),
    status: z.enum(CURRENT_STATES),
    created_at: time,
    submitted_at: time.nullable(),
    started_at: time.nullable(),
    ended_at: time.nullable(),
    command: z.string(),
    logs_path: text,
    exit_code: z.int().nullable(),
    error_message: text,
    nodes: z.int(),
    gpus: z.int(),
    instance_type: text,
    cloud: text,
    run: z.int(),
    attempt: z.int(),
    outcome: text,
    skypilot_status: z.string(),
  })
  .openapi('Job')
export type JobJson = z.infer<typeof JobJson>

/** How the API calls a job: managed jobs by SkyPilot's number, those of clusters, which count for themselves, by attempt. */
function jobKeyOf({ jobId, clusterName, experimentId, run, attempt, jobName }: AttemptRow): string {
  if (jobId === null) return jobName
  return clusterName === null ? String(jobId) : `${experimentId}.${run}.${attempt}`
}

/** A job of an experiment. Nodes and GPUs are those of the experiment's spec. */
export function jobJson(attempt: AttemptRow, of: Pick<ExperimentRow, 'name' | 'spec'>): JobJson {
  const { nodes, gpus, instanceType, cloud } = of.spec
  return {
    id: jobKeyOf(attempt),
    experiment_id: of.name,
    cluster_name: attempt.clusterName ?? 'managed',
    sky_job_id: attempt.jobId,
    status: jobStateOf(attempt.status, attempt.outcome),
    created_at: iso(attempt.createdAtMs),
    submitted_at: isoOrNull(attempt.submittedAtMs),
    started_at: isoOrNull(attempt.startedAtMs),
    ended_at: isoOrNull(attempt.endedAtMs),
    command: attempt.command,
    logs_path: attempt.jobId === null ? null : `/api/jobs/${jobKeyOf(attempt)}/logs`,
    exit_code: attempt.exitCode,
    error_message: attempt.reason,
    nodes,
    gpus,
    instance_type: instanceType,
    cloud,
    run: attempt.run,
    attempt: attempt.attempt,
    outcome: attempt.outcome,
    skypilot_status: attempt.status,
  }
}
