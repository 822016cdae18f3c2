import { z } from 'zod'
import type { OrphanKind } from './fleet.ts'
import { maybeOne, type Queryable } from './query.ts'

const Owner = z.object({ id: z.int(), name: z.string() })
/** An experiment that has a job or a cluster. */
export type Owner = z.infer<typeof Owner>

/**
 * Which experiment has this managed job or this cluster, also one that is being deleted. The list of orphans is as old as
 * the last look; this is not.
 */
export const ownerOf = (db: Queryable, kind: OrphanKind, key: string): Promise<Owner | undefined> =>
  maybeOne(
    db,
    Owner,
    kind === 'job'
      ? `select id, name from attempt join experiment on id = experiment_id
         where attempt.job_id::text = $1 and attempt.cluster_name is null and attempt.phase = 'active'
         order by attempt.created_at desc limit 1`
      : 'select id, name from experiment where cluster_name = $1 order by deleted_at nulls first, id limit 1',
    [key],
  )

/** Takes what an experiment has taken in off the list, before the next look does. */
export async function closeOrphan(db: Queryable, kind: OrphanKind, key: string): Promise<void> {
  await db.query('update orphan set ended_at = now() where kind = $1 and key = $2 and ended_at is null', [
    kind,
    key,
  ])
}
