import { DatabaseError } from 'pg'
import { z } from 'zod'
import { PHASES } from '../core/explain.ts'
import { DESIRED_STATES, type DesiredState, type Spec } from '../core/spec.ts'
import { specColumn, timeMs, timeMsOrNull } from './columns.ts'
import { many, maybeOne, one, type Queryable } from './query.ts'

const COLUMNS = `id, name, description, tags, label, sort_order as "sortOrder", is_expanded as "isExpanded", starred, spec, spec_revision as "specRevision", created_by as "createdBy",
  created_at as "createdAtMs", updated_at as "updatedAtMs", desired_state as "desiredState",
  desired_generation as "desiredGeneration", desired_actor as "desiredActor", desired_reason as "desiredReason",
  desired_at as "desiredAtMs", run, phase, why, status, job_id as "jobId", exit_code as "exitCode",
  seen_at as "seenAtMs", deleted_at as "deletedAtMs", revision`

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
  why: z.string(),
  status: z.string().nullable(),
  jobId: z.int().nullable(),
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
      `insert into experiment (name, description, tags, label, sort_order, spec, desired_state, created_by, desired_actor, why)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $8, 'being created') returning ${COLUMNS}`,
      [
        given.name,
        given.description,
        given.tags,
        given.label,
        given.sortOrder,
        given.spec,
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

const isNameTaken = (error: unknown): boolean =>
  error instanceof DatabaseError && error.constraint === 'experiment_name_of_the_living'

const Unstarted = z.object({
  id: z.int(),
  name: z.string(),
  spec: specColumn,
  desiredState: z.enum(DESIRED_STATES),
  createdBy: z.string(),
})

/** Creations of which no workflow was heard within `olderThanMs`. */
export const unstarted = (db: Queryable, olderThanMs: number): Promise<Array<z.infer<typeof Unstarted>>> =>
  many(
    db,
    Unstarted,
    `select id, name, spec, desired_state as "desiredState", created_by as "createdBy" from experiment
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

export interface ListQuery {
  /** A part of the name. */
  search?: string | undefined
  phases?: readonly string[] | undefined
  ids?: readonly number[] | undefined
  limit: number
  offset?: number
}

const FILTER = `deleted_at is null
  and ($1::text is null or name ilike '%' || $1 || '%')
  and ($2::text[] is null or phase = any($2))
  and ($3::integer[] is null or id = any($3))`

const filterValues = (query: Omit<ListQuery, 'limit'>): unknown[] => [
  query.search ? query.search.replaceAll(/[\\%_]/g, (char) => `\\${char}`) : null,
  query.phases ?? null,
  query.ids ?? null,
]

/** Living experiments, in the order that people gave them, then newest first. */
export const listExperiments = (db: Queryable, query: ListQuery): Promise<ExperimentRow[]> =>
  many(
    db,
    ExperimentRow,
    `select ${COLUMNS} from experiment where ${FILTER}
     order by sort_order, id desc limit $4 offset $5`,
    [...filterValues(query), query.limit, query.offset ?? 0],
  )

const Count = z.object({ phase: z.enum(PHASES), count: z.int() })

/** How many living experiments are in each phase. */
export async function countByPhase(
  db: Queryable,
  query: { search?: string | undefined } = {},
): Promise<Map<string, number>> {
  const rows = await many(
    db,
    Count,
    `select phase, count(*)::integer as count from experiment where ${FILTER} group by phase`,
    filterValues(query),
  )
  return new Map(rows.map(({ phase, count }) => [phase, count]))
}
