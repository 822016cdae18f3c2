import { z } from 'zod'
import { timeMs, timeMsOrNull } from './columns.ts'
import { many, maybeOne, type Queryable } from './query.ts'

const COLUMNS = `experiment_id as "experimentId", run, attempt, job_name as "jobName", job_id as "jobId",
  cluster_name as "clusterName", phase, status,
  outcome, blame, exit_code as "exitCode", reason, command, spec_revision as "specRevision", recoveries,
  created_at as "createdAtMs", submitted_at as "submittedAtMs", started_at as "startedAtMs", ended_at as "endedAtMs",
  seen_at as "seenAtMs"`

export const AttemptRow = z.object({
  experimentId: z.int(),
  run: z.int(),
  attempt: z.int(),
  jobName: z.string(),
  jobId: z.int().nullable(),
  clusterName: z.string().nullable(),
  phase: z.string(),
  status: z.string(),
  outcome: z.string().nullable(),
  blame: z.string().nullable(),
  exitCode: z.int().nullable(),
  reason: z.string().nullable(),
  command: z.string(),
  specRevision: z.int(),
  recoveries: z.int(),
  createdAtMs: timeMs,
  submittedAtMs: timeMsOrNull,
  startedAtMs: timeMsOrNull,
  endedAtMs: timeMsOrNull,
  seenAtMs: timeMsOrNull,
})
/** One launch of an experiment, and the job that came of it. */
export type AttemptRow = z.infer<typeof AttemptRow>

/** The attempts of one experiment, newest first. */
export const listAttempts = (db: Queryable, experimentId: number, limit: number): Promise<AttemptRow[]> =>
  many(
    db,
    AttemptRow,
    `select ${COLUMNS} from attempt where experiment_id = $1 order by run desc, attempt desc limit $2`,
    [experimentId, limit],
  )

/** Attempts of all experiments, newest job first; with `onlyLive` those that have not ended. */
export const listJobs = (db: Queryable, query: { limit: number; onlyLive: boolean }): Promise<AttemptRow[]> =>
  many(
    db,
    AttemptRow,
    `select ${COLUMNS} from attempt where job_id is not null and (not $2 or phase = 'active')
     order by created_at desc limit $1`,
    [query.limit, query.onlyLive],
  )

/** The newest attempt with this id of a managed job. Jobs of clusters have ids of their own, which are not looked at. */
export const getAttemptByJob = (db: Queryable, jobId: number): Promise<AttemptRow | undefined> =>
  maybeOne(
    db,
    AttemptRow,
    `select ${COLUMNS} from attempt where job_id = $1 and cluster_name is null order by created_at desc limit 1`,
    [jobId],
  )

/** One attempt by its place in the history of its experiment. */
export const getAttempt = (
  db: Queryable,
  identity: { experimentId: number; run: number; attempt: number },
): Promise<AttemptRow | undefined> =>
  maybeOne(
    db,
    AttemptRow,
    `select ${COLUMNS} from attempt where experiment_id = $1 and run = $2 and attempt = $3`,
    [identity.experimentId, identity.run, identity.attempt],
  )

const LiveAttempt = z.object({
  experimentId: z.int(),
  jobId: z.int(),
  jobName: z.string(),
  clusterName: z.string().nullable(),
  status: z.string(),
})

/** Jobs that are not known to have ended, of attempts written within so many ms; of all attempts without that. */
export const listLiveAttempts = (
  db: Queryable,
  withinMs: number | null,
): Promise<Array<z.infer<typeof LiveAttempt>>> =>
  many(
    db,
    LiveAttempt,
    `select experiment_id as "experimentId", job_id as "jobId", job_name as "jobName", cluster_name as "clusterName",
       status from attempt
     where phase = 'active' and job_id is not null and ($1::float8 is null or changed_at >= now() - $1 * interval '1 millisecond')`,
    [withinMs],
  )
