import { z } from 'zod'
import { queueSourceOf, SKYPILOT } from '../core/sight.ts'
import { timeMs, timeMsOrNull } from './columns.ts'
import { many, maybeOne, type Queryable } from './query.ts'

export const SourceRow = z.object({
  name: z.string(),
  triedAtMs: timeMs,
  okAtMs: timeMsOrNull,
  error: z.string().nullable(),
})
/** Where knowledge comes from: when it was last asked, when it last answered well, and what went wrong since. */
export type SourceRow = z.infer<typeof SourceRow>

export const listSources = (db: Queryable): Promise<SourceRow[]> =>
  many(
    db,
    SourceRow,
    'select name, tried_at as "triedAtMs", ok_at as "okAtMs", error from source order by name',
  )

/** The queue of a cluster that does not answer, or not in full. */
export interface SilentQueue {
  clusterName: string
  /** When it last told all; null: not while it was asked, as it was not before its job was there. */
  wholeAtMs: number | null
  error: string
}

/**
 * Notes which queues of clusters do not answer at a look; those that are not among them answer again. One that was not
 * noted before and did not tell all to this look-out did so at the last good look, or has its first job since.
 */
export const noteSilentQueues = (db: Queryable, silent: readonly SilentQueue[], atMs: number) =>
  db.query(
    `with given as (select * from jsonb_to_recordset($1::jsonb) as row (name text, "wholeAtMs" float8, error text)),
     answering as (delete from source where starts_with(name, $3) and tried_at <= $2 and name not in (select name from given))
     insert into source (name, tried_at, ok_at, error)
     select name, $2, coalesce(to_timestamp("wholeAtMs" / 1000.0),
       greatest((select ok_at from source where name = $4),
         (select max(greatest(created_at, seen_at)) from attempt where $3 || cluster_name = given.name and phase = 'active')), $2), error
     from given
     on conflict (name) do update set tried_at = excluded.tried_at, error = excluded.error
     where source.tried_at <= excluded.tried_at`,
    [
      JSON.stringify(
        silent.map(({ clusterName, ...rest }) => ({ name: queueSourceOf(clusterName), ...rest })),
      ),
      new Date(atMs),
      queueSourceOf(''),
      SKYPILOT,
    ],
  )

const Before = z.object({ triedAtMs: timeMs })

/** When a source was last asked, as far as the tables know. */
export const triedAtMs = async (db: Queryable, name: string): Promise<number | undefined> =>
  (await maybeOne(db, Before, 'select tried_at as "triedAtMs" from source where name = $1', [name]))
    ?.triedAtMs

/**
 * Notes one look at a source, and gives the time of the one that was noted before it, undefined where there was none. A
 * failed look never moves the time of the last good one.
 */
export async function touchSource(
  db: Queryable,
  look: { name: string; ok: boolean; error: string | null; atMs: number },
): Promise<number | undefined> {
  const at = new Date(look.atMs)
  const before = await maybeOne(
    db,
    Before,
    `with touched as (
       insert into source (name, tried_at, ok_at, error) values ($1, $2, $3, $4)
       on conflict (name) do update set tried_at = excluded.tried_at, error = excluded.error,
         ok_at = coalesce(excluded.ok_at, source.ok_at)
       where source.tried_at <= excluded.tried_at
     )
     select tried_at as "triedAtMs" from source where name = $1`,
    [look.name, at, look.ok ? at : null, look.error],
  )
  return before?.triedAtMs
}
