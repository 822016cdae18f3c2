import type { Pool } from 'pg'
import type { AttemptSnapshot, Snapshot } from '../core/snapshot.ts'
import { dateOrNull } from './columns.ts'
import { type Queryable, transaction } from './query.ts'

/**
 * Brings the tables up to a snapshot, in one transaction. May arrive twice, late or out of order: an older revision
 * never replaces a newer one, and an event that is there is left alone.
 */
export const project = (pool: Pool, snapshot: Snapshot): Promise<void> =>
  transaction(pool, async (db) => {
    await projectExperiment(db, snapshot)
    if (snapshot.attempts.length > 0) await projectAttempts(db, snapshot.id, snapshot.attempts)
    if (snapshot.events.length > 0) await projectEvents(db, snapshot)
  })

/** The name is reserved by its row; where another experiment has it already, ours keeps the one it has. */
async function projectExperiment(db: Queryable, snapshot: Snapshot): Promise<void> {
  await db.query(
    `insert into experiment (id, name, spec, spec_revision, created_by, desired_state, desired_generation, desired_actor,
       desired_reason, desired_at, run, phase, why, status, job_id, exit_code, seen_at, deleted_at, revision)
     overriding system value
     values ($1, $2, $3, $4, $7, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
       case when $17 then now() end, $18)
     on conflict (id) do update set
       name = case when exists (select from experiment other
         where other.name = excluded.name and other.id <> excluded.id and other.deleted_at is null)
         then experiment.name else excluded.name end,
       spec = excluded.spec, spec_revision = excluded.spec_revision, desired_state = excluded.desired_state,
       desired_generation = excluded.desired_generation, desired_actor = excluded.desired_actor,
       desired_reason = excluded.desired_reason, desired_at = excluded.desired_at, run = excluded.run,
       phase = excluded.phase, why = excluded.why, status = excluded.status, job_id = excluded.job_id,
       exit_code = excluded.exit_code, seen_at = greatest(experiment.seen_at, excluded.seen_at),
       deleted_at = coalesce(experiment.deleted_at, excluded.deleted_at), revision = excluded.revision,
       updated_at = now()
     where experiment.revision < excluded.revision`,
    [
      snapshot.id,
      snapshot.name,
      snapshot.spec,
      snapshot.specRevision,
      snapshot.desiredState,
      snapshot.desiredGeneration,
      snapshot.desiredActor,
      snapshot.desiredReason,
      new Date(snapshot.desiredAtMs),
      snapshot.run,
      snapshot.phase,
      snapshot.why,
      snapshot.status,
      snapshot.jobId,
      snapshot.exitCode,
      dateOrNull(snapshot.seenAtMs),
      snapshot.deleted,
      snapshot.revision,
    ],
  )
}

async function projectAttempts(
  db: Queryable,
  experimentId: number,
  attempts: readonly AttemptSnapshot[],
): Promise<void> {
  await db.query(
    `insert into attempt (experiment_id, run, attempt, job_name, job_id, phase, status, outcome, blame, exit_code, reason,
       command, spec_revision, recoveries, created_at, submitted_at, started_at, ended_at, seen_at, revision)
     select $1, run, attempt, "jobName", "jobId", phase, status, outcome, blame, "exitCode", reason, command,
       "specRevision", recoveries, to_timestamp("createdAtMs" / 1000.0), to_timestamp("submittedAtMs" / 1000.0),
       to_timestamp("startedAtMs" / 1000.0), to_timestamp("endedAtMs" / 1000.0), to_timestamp("seenAtMs" / 1000.0), revision
     from jsonb_to_recordset($2::jsonb) as given (run integer, attempt integer, "jobName" text, "jobId" integer, phase text,
       status text, outcome text, blame text, "exitCode" integer, reason text, command text, "specRevision" integer,
       recoveries integer, "createdAtMs" float8, "submittedAtMs" float8, "startedAtMs" float8, "endedAtMs" float8,
       "seenAtMs" float8, revision integer)
     on conflict (experiment_id, run, attempt) do update set
       job_id = excluded.job_id, phase = excluded.phase, status = excluded.status, outcome = excluded.outcome,
       blame = excluded.blame, exit_code = excluded.exit_code, reason = excluded.reason, recoveries = excluded.recoveries,
       submitted_at = excluded.submitted_at, started_at = excluded.started_at, ended_at = excluded.ended_at,
       seen_at = excluded.seen_at, revision = excluded.revision, changed_at = now()
     where attempt.revision < excluded.revision`,
    [experimentId, JSON.stringify(attempts)],
  )
}

async function projectEvents(db: Queryable, snapshot: Snapshot): Promise<void> {
  await db.query(
    `insert into event (experiment_id, seq, at, kind, actor, text, detail)
     select $1, seq, to_timestamp("atMs" / 1000.0), kind, actor, text, detail
     from jsonb_to_recordset($2::jsonb) as given (seq integer, "atMs" float8, kind text, actor text, text text, detail jsonb)
     order by seq on conflict (experiment_id, seq) do nothing`,
    [snapshot.id, JSON.stringify(snapshot.events)],
  )
}
