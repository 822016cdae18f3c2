import { DatabaseError } from 'pg'
import { z } from 'zod'
import { PHASES } from '../core/explain.ts'
import { DESIRED_STATES, type DesiredState, type Spec } from '../core/spec.ts'
import { specColumn, timeMs, timeMsOrNull } from './columns.ts'
import { many, maybeOne, one, type Queryable } from './query.ts'

const COLUMNS = `id, name, description, tags, spec, spec_revision as "specRevision", created_by as "createdBy",
  created_at as "createdAtMs", updated_at as "updatedAtMs", desired_state as "desiredState",
  desired_generation as "desiredGeneration", desired_actor as "desiredActor", desired_reason as "desiredReason",
  desired_at as "desiredAtMs", run, phase, why, status, job_id as "jobId", exit_code as "exitCode",
  seen_at as "seenAtMs", deleted_at as "deletedAtMs", revision`

export const ExperimentRow = z.object({
  id: z.int(),
  name: z.string(),
  description: z.string().nullable(),
  tags: z.array(z.string()),
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

export interface NewExperiment {
  name: string
  description: string | null
  tags: readonly string[]
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
      `insert into experiment (name, description, tags, spec, desired_state, created_by, desired_actor, why)
       values ($1, $2, $3, $4, $5, $6, $6, 'being created') returning ${COLUMNS}`,
      [given.name, given.description, given.tags, given.spec, given.desiredState, given.createdBy],
    )
  } catch (error) {
    if (isNameTaken(error)) return undefined
    throw error
  }
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

/** Living experiments, newest first. */
export const listExperiments = (db: Queryable, query: ListQuery): Promise<ExperimentRow[]> =>
  many(
    db,
    ExperimentRow,
    `select ${COLUMNS} from experiment where ${FILTER} order by id desc limit $4 offset $5`,
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
