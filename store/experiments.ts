import { DatabaseError } from 'pg'
import { z } from 'zod'
import { PHASES } from '../core/explain.ts'
import type { Policy } from '../core/policy.ts'
import { DESIRED_STATES, type DesiredState, type Spec } from '../core/spec.ts'
import { policyColumn, specColumn, timeMs, timeMsOrNull } from './columns.ts'
import { many, maybeOne, one, type Queryable } from './query.ts'

/** The current job as the API knows it: managed jobs by SkyPilot's id, those of clusters by their attempt. */
const JOB_KEY = `select case when attempt.job_id is null then null
    when attempt.cluster_name is null then attempt.job_id::text
    else concat_ws('.', attempt.experiment_id, attempt.run, attempt.attempt) end
  from attempt where attempt.experiment_id = experiment.id order by attempt.run desc, attempt.attempt desc limit 1`

const COLUMNS = `id, name, description, tags, label, sort_order as "sortOrder", is_expanded as "isExpanded", starred, spec,
  spec_revision as "specRevision", policy, owner, created_by as "createdBy",
  created_at as "createdAtMs", updated_at as "updatedAtMs", desired_state as "desiredState",
  desired_generation as "desiredGeneration", desired_actor as "desiredActor", desired_reason as "desiredReason",
  desired_at as "desiredAtMs", run, phase, headline, headline_since as "headlineSinceMs", why, evidence, next,
  next_at as "nextAtMs", held_by as "heldBy", held_reason as "heldReason", queued_at as "queuedAtMs",
  cluster_name as "clusterName", cluster_status as "clusterStatus",
  cluster_autostop_minutes as "clusterAutostopMinutes", cluster_launched_at as "clusterLaunchedAtMs",
  status, job_id as "jobId", (${JOB_KEY}) as "jobKey", exit_code as "exitCode", seen_at as "seenAtMs",
  deleted_at as "deletedAtMs", revision`

export const ExperimentRow = z.object({
  id: z.int(),
  name: z.string(),
  description: z.string().nullable(),
  tags: z.array(z.string()),
  label: z.string().nullable(),
  sortOrder: z.int(),
  isExpanded: z.boolean(),
  starred: z.boolean(),
  spec: specColumn,
  specRevision: z.int(),
  policy: policyColumn,
  owner: z.string(),
  createdBy: z.string(),
  createdAtMs: timeMs,
  updatedAtMs: timeMs,
  desiredState: z.enum(DESIRED_STATES),
  desiredGeneration: z.int(),
  desiredActor: z.string(),
  desiredReason: z.string().nullable(),
  desiredAtMs: timeMs,
  run: z.int(),
  phase: z.enum(PHASES),
  headline: z.string(),
  headlineSinceMs: timeMs,
  why: z.string(),
  evidence: z.array(z.string()),
  next: z.string().nullable(),
  nextAtMs: timeMsOrNull,
  heldBy: z.string().nullable(),
  heldReason: z.string().nullable(),
  queuedAtMs: timeMsOrNull,
  clusterName: z.string().nullable(),
  clusterStatus: z.string().nullable(),
  clusterAutostopMinutes: z.int().nullable(),
  clusterLaunchedAtMs: timeMsOrNull,
  status: z.string().nullable(),
  jobId: z.int().nullable(),
  jobKey: z.string().nullable(),
  exitCode: z.int().nullable(),
  seenAtMs: timeMsOrNull,
  deletedAtMs: timeMsOrNull,
  revision: z.int(),
})
/** One experiment as people see it: its workflow's last projection, and what people wrote beside it. */
export type ExperimentRow = z.infer<typeof ExperimentRow>

/** What people write beside an experiment. It changes nothing about what runs. */
export interface Notes {
  description: string | null
  tags: readonly string[]
  label: string | null
  sortOrder: number
  isExpanded: boolean
  starred: boolean
}

export interface NewExperiment extends Pick<Notes, 'description' | 'tags' | 'label' | 'sortOrder'> {
  name: string
  spec: Spec
  policy: Policy
  desiredState: DesiredState
  createdBy: string
}

/**
 * Takes an id and a name for a new experiment. The row says by its revision 0 that no workflow was heard of yet, so
 * that a creation which is cut short is finished later. Undefined when a living experiment has the name.
 */
export async function reserveExperiment(
  db: Queryable,
  given: NewExperiment,
): Promise<ExperimentRow | undefined> {
  try {
    return await one(
      db,
      ExperimentRow,
      `insert into experiment (name, description, tags, label, sort_order, spec, policy, desired_state, created_by,
         desired_actor, owner, why)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9, 'being created') returning ${COLUMNS}`,
      [
        given.name,
        given.description,
        given.tags,
        given.label,
        given.sortOrder,
        given.spec,
        given.policy,
        given.desiredState,
        given.createdBy,
      ],
    )
  } catch (error) {
    if (isNameTaken(error)) return undefined
    throw error
  }
}

/** Changes what people wrote beside an experiment; what is not given stays. */
export async function editNotes(db: Queryable, id: number, notes: Partial<Notes>): Promise<void> {
  await db.query(
    `update experiment set
       description = case when $2::jsonb ? 'description' then $2->>'description' else description end,
       tags = case when $2::jsonb ? 'tags' then array(select jsonb_array_elements_text($2->'tags')) else tags end,
       label = case when $2::jsonb ? 'label' then $2->>'label' else label end,
       sort_order = coalesce(($2::jsonb->>'sortOrder')::integer, sort_order),
       is_expanded = coalesce(($2::jsonb->>'isExpanded')::boolean, is_expanded),
       starred = coalesce(($2::jsonb->>'starred')::boolean, starred)
     where id = $1`,
    [id, JSON.stringify(notes)],
  )
}

/** Gives a living experiment another name. False when that name is taken. */
export async function renameExperiment(db: Queryable, id: number, name: string): Promise<boolean> {
  try {
    await db.query('update experiment set name = $2, updated_at = now() where id = $1', [id, name])
    return true
  } catch (error) {
    if (isNameTaken(error)) return false
    throw error
  }
}

/** What a row was before something was written into it ahead of its workflow. */
export type Before = Pick<ExperimentRow, 'id' | 'name' | 'deletedAtMs' | 'revision'>

/**
 * Takes back `renameExperiment`, unless its workflow has told anything since: then the row has the name that the workflow
 * has, and an answer that was lost may have been a yes.
 */
export async function takeBackName(db: Queryable, before: Before): Promise<void> {
  const { id, name, revision } = before
  try {
    await db.query('update experiment set name = $2 where id = $1 and revision = $3', [id, name, revision])
  } catch (error) {
    // Another was given the old name within that moment: this one keeps what it has.
    if (!isNameTaken(error)) throw error
  }
}

const isNameTaken = (error: unknown): boolean =>
  error instanceof DatabaseError && error.constraint === 'experiment_name_of_the_living'

const Unstarted = z.object({
  id: z.int(),
  name: z.string(),
  spec: specColumn,
  policy: policyColumn,
  desiredState: z.enum(DESIRED_STATES),
  createdBy: z.string(),
})

/** Creations of which no workflow was heard within `olderThanMs`. */
export const unstarted = (db: Queryable, olderThanMs: number): Promise<Array<z.infer<typeof Unstarted>>> =>
  many(
    db,
    Unstarted,
    `select id, name, spec, policy, desired_state as "desiredState", created_by as "createdBy" from experiment
     where revision = 0 and deleted_at is null and created_at < now() - $1 * interval '1 millisecond'
     order by id limit 100`,
    [olderThanMs],
  )

/** Finds a living experiment by its id or its name. */
export async function getExperiment(db: Queryable, idOrName: string): Promise<ExperimentRow | undefined> {
  const id = /^[1-9]\d{0,8}$/.test(idOrName) ? Number(idOrName) : null
  return maybeOne(
    db,
    ExperimentRow,
    `select ${COLUMNS} from experiment where deleted_at is null and (id = $1 or name = $2)
     order by (id = $1) desc limit 1`,
    [id, idOrName],
  )
}

/**
 * Deleted, and not known to have come to its end: something of it may still be on a machine. A second job is ended after
 * all else, when the phase says nothing of it any more.
 */
const BEING_DELETED = `deleted_at is not null and (phase <> 'terminated' or headline = 'two-jobs')`

/** The same, and by its id also one that is being deleted; its name belongs to whoever takes it. */
export async function getPresent(db: Queryable, idOrName: string): Promise<ExperimentRow | undefined> {
  const id = /^[1-9]\d{0,8}$/.test(idOrName) ? Number(idOrName) : null
  return maybeOne(
    db,
    ExperimentRow,
    `select ${COLUMNS} from experiment
     where id = $1 and (deleted_at is null or ${BEING_DELETED}) or name = $2 and deleted_at is null
     order by (id = $1) desc limit 1`,
    [id, idOrName],
  )
}

/** Finds a deleted experiment by its id, or the one of a name that was deleted last. */
export async function getDeleted(db: Queryable, idOrName: string): Promise<ExperimentRow | undefined> {
  const id = /^[1-9]\d{0,8}$/.test(idOrName) ? Number(idOrName) : null
  return maybeOne(
    db,
    ExperimentRow,
    `select ${COLUMNS} from experiment where deleted_at is not null and (id = $1 or name = $2)
     order by (id = $1) desc nulls last, deleted_at desc limit 1`,
    [id, idOrName],
  )
}

/** Gives a deleted experiment its name back. False when a living one has it meanwhile. */
export async function reviveRow(db: Queryable, id: number): Promise<boolean> {
  try {
    await db.query(
      'update experiment set deleted_at = null, updated_at = now() where id = $1 and deleted_at is not null',
      [id],
    )
    return true
  } catch (error) {
    if (isNameTaken(error)) return false
    throw error
  }
}

/** Takes back `reviveRow`, unless its workflow has told anything since; see `takeBackName`. */
export async function buryRow(db: Queryable, before: Before): Promise<void> {
  await db.query(
    'update experiment set deleted_at = $2 where id = $1 and deleted_at is null and revision = $3',
    [before.id, before.deletedAtMs === null ? null : new Date(before.deletedAtMs), before.revision],
  )
}

const NextSeq = z.object({ nextSeq: z.int() })

/** The number of the next event of an experiment, whose log may be longer than what a workflow remembers. */
export async function nextSeq(db: Queryable, id: number): Promise<number> {
  const row = await one(
    db,
    NextSeq,
    'select coalesce(max(seq), 0) + 1 as "nextSeq" from event where experiment_id = $1',
    [id],
  )
  return row.nextSeq
}

const Revision = z.object({ id: z.int(), revision: z.int() })

/** How far the tables know each experiment that has not come to its end. */
export async function liveRevisions(db: Queryable): Promise<Map<number, number>> {
  const rows = await many(
    db,
    Revision,
    `select id, revision from experiment where deleted_at is null or phase <> 'terminated'`,
  )
  return new Map(rows.map(({ id, revision }) => [id, revision]))
}

/** The next experiment gets a higher number than this. */
export async function neverGiveIdsUpTo(db: Queryable, id: number): Promise<void> {
  await db.query(
    `select setval(sequence, $1) from pg_get_serial_sequence('experiment', 'id') as sequence
     where coalesce(pg_sequence_last_value(sequence), 0) < $1`,
    [id],
  )
}

/** Takes back a reservation of which no workflow was heard. */
export async function unreserve(db: Queryable, id: number): Promise<void> {
  await db.query('delete from experiment where id = $1 and revision = 0', [id])
}

export interface ListQuery {
  /** The living unless said otherwise. */
  which?: Which | undefined
  /** A part of the name. */
  search?: string | undefined
  phases?: readonly string[] | undefined
  headlines?: readonly string[] | undefined
  ids?: readonly number[] | undefined
  limit: number
  offset?: number
}

type Which = 'living' | 'being-deleted' | 'both'
const IS: Readonly<Record<Which, string>> = {
  living: 'deleted_at is null',
  'being-deleted': BEING_DELETED,
  both: `(deleted_at is null or ${BEING_DELETED})`,
}

const filterOf = ({ which = 'living' }: Pick<ListQuery, 'which'>): string => `${IS[which]}
  and ($1::text is null or name ilike '%' || $1 || '%')
  and ($2::text[] is null or phase = any($2))
  and ($3::integer[] is null or id = any($3))
  and ($4::text[] is null or headline = any($4))`

const filterValues = (query: Omit<ListQuery, 'limit'>): unknown[] => [
  query.search ? query.search.replaceAll(/[\\%_]/g, (char) => `\\${char}`) : null,
  query.phases ?? null,
  query.ids ?? null,
  query.headlines ?? null,
]

/** Experiments, in the order that people gave them, then newest first. */
export const listExperiments = (db: Queryable, query: ListQuery): Promise<ExperimentRow[]> =>
  many(
    db,
    ExperimentRow,
    `select ${COLUMNS} from experiment where ${filterOf(query)}
     order by sort_order, id desc limit $5 offset $6`,
    [...filterValues(query), query.limit, query.offset ?? 0],
  )

const Count = z.object({ phase: z.enum(PHASES), count: z.int() })

/** How many experiments are in each phase. */
export async function countByPhase(
  db: Queryable,
  query: Pick<ListQuery, 'which' | 'search' | 'headlines'> = {},
): Promise<Map<string, number>> {
  const rows = await many(
    db,
    Count,
    `select phase, count(*)::integer as count from experiment where ${filterOf(query)} group by phase`,
    filterValues(query),
  )
  return new Map(rows.map(({ phase, count }) => [phase, count]))
}
