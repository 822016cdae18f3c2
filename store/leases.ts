import { z } from 'zod'
import { maybeOne, type Queryable } from './query.ts'

/** A job that asks for the lease of an attempt. `holder` is the same for all nodes of a job, and after its recovery. */
export interface LeaseWish {
  experimentId: number
  run: number
  attempt: number
  holder: string
}

const Lease = z.object({ isNew: z.boolean() })

/**
 * Gives an attempt to the first job that asks, again to the same one, and to no other. One statement: of two that ask
 * at once one waits for the other and is then told `held`.
 */
export async function takeLease(db: Queryable, wish: LeaseWish): Promise<'taken' | 'renewed' | 'held'> {
  // A row that was inserted and not updated has no xmax.
  const lease = await maybeOne(
    db,
    Lease,
    `insert into lease (experiment_id, run, attempt, holder) values ($1, $2, $3, $4)
     on conflict (experiment_id, run, attempt) do update set renewed_at = now() where lease.holder = excluded.holder
     returning xmax = 0 as "isNew"`,
    [wish.experimentId, wish.run, wish.attempt, wish.holder],
  )
  if (!lease) return 'held'
  return lease.isNew ? 'taken' : 'renewed'
}
