import { z } from 'zod'
import { timeMs, timeMsOrNull } from './columns.ts'
import { many, maybeOne, type Queryable } from './query.ts'

const COLUMNS = `experiment_id as "experimentId", run, attempt, job_name as "jobName", job_id as "jobId", phase, status,
  outcome, blame, exit_code as "exitCode", reason, command, spec_revision as "specRevision", recoveries,
  created_at as "createdAtMs", submitted_at as "submittedAtMs", started_at as "startedAtMs", ended_at as "endedAtMs",
  seen_at as "seenAtMs"`

export const AttemptRow = z.object({
  experimentId: z.int(),
  run: z.int(),
  attempt: z.int(),
  jobName: z.string(),
  jobId: z.int().nullable(),
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
     order by job_id desc limit $1`,
    [query.limit, query.onlyLive],
  )

/** The newest attempt with this SkyPilot job id. */
export const getAttemptByJob = (db: Queryable, jobId: number): Promise<AttemptRow | undefined> =>
  maybeOne(
    db,
    AttemptRow,
    `select ${COLUMNS} from attempt where job_id = $1 order by created_at desc limit 1`,
    [jobId],
  )

const LiveAttempt = z.object({ jobId: z.int(), jobName: z.string(), status: z.string() })

/** Jobs that are not known to have ended, of attempts written since a time; of all attempts without one. */
export const listLiveAttempts = (
  db: Queryable,
  changedSinceMs: number | null,
): Promise<Array<z.infer<typeof LiveAttempt>>> =>
  many(
    db,
    LiveAttempt,
    `select job_id as "jobId", job_name as "jobName", status from attempt
     where phase = 'active' and job_id is not null and ($1::timestamptz is null or changed_at >= $1)`,
    [changedSinceMs === null ? null : new Date(changedSinceMs)],
  )
