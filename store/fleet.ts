import { z } from 'zod'
import { timeMs } from './columns.ts'
import { many, type Queryable } from './query.ts'

const Named = z.object({ id: z.int(), name: z.string() })

/** Living experiments by their exact names. */
export async function findByNames(db: Queryable, names: readonly string[]): Promise<Map<string, number>> {
  const rows = await many(
    db,
    Named,
    'select id, name from experiment where deleted_at is null and name = any($1)',
    [names],
  )
  return new Map(rows.map(({ id, name }) => [name, id]))
}

/** Those of these experiments that somebody looks after: the living, and the deleted whose clean-up still goes on. */
export async function knownExperiments(db: Queryable, ids: readonly number[]): Promise<Set<number>> {
  const rows = await many(
    db,
    Named.pick({ id: true }),
    `select id from experiment where id = any($1) and (deleted_at is null or phase <> 'terminated')`,
    [ids],
  )
  return new Set(rows.map(({ id }) => id))
}

const ExpectedCluster = z.object({
  experimentId: z.int(),
  clusterName: z.string(),
  status: z.string().nullable(),
})
/** A cluster of an experiment that may exist. */
export type ExpectedCluster = z.infer<typeof ExpectedCluster>

/** The clusters of experiments, also of those that are being deleted. */
export const listExpectedClusters = (db: Queryable): Promise<ExpectedCluster[]> =>
  many(
    db,
    ExpectedCluster,
    `select id as "experimentId", cluster_name as "clusterName", cluster_status as status
     from experiment where cluster_name is not null order by id`,
  )

export type OrphanKind = 'job' | 'cluster'

/** A job or a cluster of no experiment, as SkyPilot shows it. */
export interface SeenOrphan {
  key: string
  name: string
  status: string
  detail: string | null
}

/** Takes in one complete look for orphans of a kind: what is seen is there, and what is not seen any more has ended. */
export async function seeOrphans(
  db: Queryable,
  kind: OrphanKind,
  seen: readonly SeenOrphan[],
  atMs: number,
): Promise<void> {
  await db.query(
    `with seen as (
       select distinct on (key) key, name, status, detail
       from jsonb_to_recordset($2::jsonb) as given (key text, name text, status text, detail text) order by key
     ), kept as (
       insert into orphan (kind, key, name, status, detail, first_seen_at, seen_at)
       select $1, key, name, status, detail, $3::timestamptz, $3 from seen
       on conflict (kind, key) do update set name = excluded.name, status = excluded.status, detail = excluded.detail,
         first_seen_at = case when orphan.ended_at is null then orphan.first_seen_at else excluded.first_seen_at end,
         seen_at = excluded.seen_at, ended_at = null
       where orphan.seen_at <= excluded.seen_at
     )
     update orphan set ended_at = $3
     where kind = $1 and ended_at is null and seen_at <= $3 and key not in (select key from seen)`,
    [kind, JSON.stringify(seen), new Date(atMs)],
  )
}

const OrphanRow = z.object({
  kind: z.enum(['job', 'cluster']),
  key: z.string(),
  name: z.string(),
  status: z.string(),
  detail: z.string().nullable(),
  firstSeenAtMs: timeMs,
  seenAtMs: timeMs,
})
export type OrphanRow = z.infer<typeof OrphanRow>

/** Orphans that are still there, the oldest first. */
export const listOrphans = (db: Queryable): Promise<OrphanRow[]> =>
  many(
    db,
    OrphanRow,
    `select kind, key, name, status, detail, first_seen_at as "firstSeenAtMs", seen_at as "seenAtMs"
     from orphan where ended_at is null order by first_seen_at, kind, key`,
  )

const Count = z.object({ count: z.int() })

/** How many orphans are there. */
export async function countOrphans(db: Queryable): Promise<number> {
  const [row] = await many(db, Count, 'select count(*)::integer as count from orphan where ended_at is null')
  return row?.count ?? 0
}
