import { z } from 'zod'
import { timeMs } from './columns.ts'
import { many, type Queryable } from './query.ts'

const QueueRow = z.object({
  id: z.int(),
  name: z.string(),
  owner: z.string(),
  priority: z.int(),
  queuedAtMs: timeMs,
  why: z.string(),
  place: z.int(),
  of: z.int(),
})
/** An experiment that waits for its launch, and its place among all that do. */
export type QueueRow = z.infer<typeof QueueRow>

/**
 * The order in which launches are given out: by priority, then in turn between owners, then by age. Temporal's task
 * queue, which gives them out, weighs owners alike.
 */
const QUEUE = `with waiting as (
    select id, name, owner, (policy ->> 'priority')::integer as priority, coalesce(queued_at, desired_at) as queued_at, why
    from experiment where phase = 'queued' and deleted_at is null
  ), turns as (
    select *, row_number() over (partition by priority, owner order by queued_at, id) as turn from waiting
  ), queue as (
    select id, name, owner, priority, queued_at as "queuedAtMs", why,
      (row_number() over (order by priority, turn, queued_at, id))::integer as place,
      (count(*) over ())::integer as of
    from turns
  )`

/** The start queue, first place first. */
export const listQueue = (db: Queryable, limit: number): Promise<QueueRow[]> =>
  many(db, QueueRow, `${QUEUE} select * from queue order by place limit $1`, [limit])

const Place = QueueRow.pick({ id: true, place: true, of: true })

/** The places of those of these experiments that wait for their launch. */
export async function queuePlaces(
  db: Queryable,
  ids: readonly number[],
): Promise<Map<number, { place: number; of: number }>> {
  if (ids.length === 0) return new Map()
  const rows = await many(db, Place, `${QUEUE} select id, place, of from queue where id = any($1)`, [ids])
  return new Map(rows.map(({ id, place, of }) => [id, { place, of }]))
}
