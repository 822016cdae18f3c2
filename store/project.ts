import type { Pool } from 'pg'
import type { AttemptSnapshot, ClusterSnapshot, Snapshot } from '../core/snapshot.ts'
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

/**
 * The name is reserved by its row; where another experiment has it already, ours keeps the one it has. One whose deletion
 * is undone, or whose row was lost with tables that were put back, holds no name any more and takes another where its own
 * went to somebody else meanwhile.
 */
async function projectExperiment(db: Queryable, snapshot: Snapshot): Promise<void> {
  const { cluster, attempts: _attempts, events: _events, ...columns } = snapshot
  await db.query(
    `insert into experiment (id, name, spec, spec_revision, policy, owner, created_by, desired_state, desired_generation,
       desired_actor, desired_reason, desired_at, run, phase, headline, headline_since, why, evidence, next, next_at, held_by,
       held_reason, queued_at, cluster_name, cluster_status, cluster_autostop_minutes, cluster_launched_at, status, job_id,
       exit_code, seen_at, deleted_at, revision)
     overriding system value
     select id, case when deleted or exists (select from experiment own where own.id = given.id)
           or not exists (select from experiment other where other.name = given.name and other.deleted_at is null)
         then name else name || '-' || id end, spec, "specRevision", policy, owner, owner, "desiredState", "desiredGeneration", "desiredActor",
       "desiredReason", to_timestamp("desiredAtMs" / 1000.0), run, phase, headline, to_timestamp("headlineSinceMs" / 1000.0),
       why, evidence, next, to_timestamp("nextAtMs" / 1000.0), "heldBy", "heldReason",
       to_timestamp("queuedAtMs" / 1000.0), "clusterName", "clusterStatus", "autostopMinutes",
       to_timestamp("launchedAtMs" / 1000.0), status, "jobId", "exitCode", to_timestamp("seenAtMs" / 1000.0),
       case when deleted then now() end, revision
     from jsonb_to_record($1::jsonb) as given (id integer, name text, spec jsonb, "specRevision" integer, policy jsonb,
       owner text, "desiredState" text, "desiredGeneration" integer, "desiredActor" text, "desiredReason" text,
       "desiredAtMs" float8, run integer, phase text, headline text, "headlineSinceMs" float8, why text, evidence text[],
       next text, "nextAtMs" float8, "heldBy" text, "heldReason" text, "queuedAtMs" float8, "clusterName" text,
       "clusterStatus" text, "autostopMinutes" integer, "launchedAtMs" float8, status text, "jobId" integer,
       "exitCode" integer, "seenAtMs" float8, deleted boolean, revision integer)
     on conflict (id) do update set
       name = case when excluded.deleted_at is not null or not exists (select from experiment other
           where other.name = excluded.name and other.id <> excluded.id and other.deleted_at is null)
         then excluded.name
         when experiment.deleted_at is null then experiment.name
         else excluded.name || '-' || excluded.id end,
       spec = excluded.spec, spec_revision = excluded.spec_revision, policy = excluded.policy, owner = excluded.owner,
       desired_state = excluded.desired_state, desired_generation = excluded.desired_generation,
       desired_actor = excluded.desired_actor, desired_reason = excluded.desired_reason,
       desired_at = excluded.desired_at, run = excluded.run, phase = excluded.phase, headline = excluded.headline,
       headline_since = excluded.headline_since, why = excluded.why, evidence = excluded.evidence, next = excluded.next,
       next_at = excluded.next_at, held_by = excluded.held_by, held_reason = excluded.held_reason,
       queued_at = excluded.queued_at, cluster_name = excluded.cluster_name, cluster_status = excluded.cluster_status,
       cluster_autostop_minutes = excluded.cluster_autostop_minutes, cluster_launched_at = excluded.cluster_launched_at,
       status = excluded.status, job_id = excluded.job_id, exit_code = excluded.exit_code,
       seen_at = greatest(experiment.seen_at, excluded.seen_at),
       deleted_at = case when excluded.deleted_at is null then null
         else coalesce(experiment.deleted_at, excluded.deleted_at) end,
       revision = excluded.revision, updated_at = now()
     where experiment.revision < excluded.revision`,
    [JSON.stringify({ ...columns, ...clusterColumns(cluster) })],
  )
}

const clusterColumns = (cluster: ClusterSnapshot | null) => ({
  clusterName: cluster?.name ?? null,
  clusterStatus: cluster?.status ?? null,
  autostopMinutes: cluster?.autostopMinutes ?? null,
  launchedAtMs: cluster?.launchedAtMs ?? null,
})

async function projectAttempts(
  db: Queryable,
  experimentId: number,
  attempts: readonly AttemptSnapshot[],
): Promise<void> {
  await db.query(
    `insert into attempt (experiment_id, run, attempt, job_name, job_id, cluster_name, phase, status, outcome, blame, exit_code, reason,
       command, spec_revision, recoveries, created_at, submitted_at, started_at, ended_at, seen_at, revision)
     select distinct on (run, attempt) $1::integer, run, attempt, "jobName", "jobId", "clusterName", phase, status, outcome, blame, "exitCode", reason, command,
       "specRevision", recoveries, to_timestamp("createdAtMs" / 1000.0), to_timestamp("submittedAtMs" / 1000.0),
       to_timestamp("startedAtMs" / 1000.0), to_timestamp("endedAtMs" / 1000.0), to_timestamp("seenAtMs" / 1000.0), revision
     from jsonb_to_recordset($2::jsonb) as given (run integer, attempt integer, "jobName" text, "jobId" integer, "clusterName" text,
       phase text, status text, outcome text, blame text, "exitCode" integer, reason text, command text, "specRevision" integer,
       recoveries integer, "createdAtMs" float8, "submittedAtMs" float8, "startedAtMs" float8, "endedAtMs" float8,
       "seenAtMs" float8, revision integer)
     order by run, attempt, revision desc
     on conflict (experiment_id, run, attempt) do update set
       command = excluded.command, spec_revision = excluded.spec_revision, job_id = excluded.job_id, cluster_name = excluded.cluster_name, phase = excluded.phase, status = excluded.status, outcome = excluded.outcome,
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
