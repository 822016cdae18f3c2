import { z } from 'zod'
import { timeMs } from './columns.ts'
import { many, type Queryable } from './query.ts'

export const EventRow = z.object({
  id: z.string(),
  experimentId: z.int(),
  experimentName: z.string(),
  seq: z.int(),
  atMs: timeMs,
  kind: z.string(),
  actor: z.string(),
  text: z.string(),
  isDeleted: z.boolean(),
})
/** One line of the append-only log. */
export type EventRow = z.infer<typeof EventRow>

/** The log, newest first: of one experiment, or of all of them for a null. */
export const listEvents = (
  db: Queryable,
  query: { experimentId: number | null; kinds?: readonly string[]; limit: number },
): Promise<EventRow[]> =>
  many(
    db,
    EventRow,
    `select event.id, experiment_id as "experimentId", experiment.name as "experimentName", seq, at as "atMs", kind,
       actor, text, experiment.deleted_at is not null as "isDeleted"
     from event join experiment on experiment.id = experiment_id
     where ($1::integer is null or experiment_id = $1) and ($2::text[] is null or kind = any($2))
     order by event.id desc limit $3`,
    [query.experimentId, query.kinds ?? null, query.limit],
  )
