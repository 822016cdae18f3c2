import { asSeen, type Blind, blindSinceMs, SKYPILOT, sourceFor } from '../core/sight.ts'
import type { ExperimentRow } from '../store/experiments.ts'
import type { Queryable } from '../store/query.ts'
import { queuePlaces } from '../store/queue.ts'
import { listSources, type SourceRow } from '../store/sources.ts'

/** An experiment as it is told now: with what we cannot see, and its place in the start queue. */
export interface SeenRow extends ExperimentRow {
  queue: { place: number; of: number } | null
}

export interface SeenDeps {
  db: Queryable
  /** How often SkyPilot is looked at: what is many times older is not seen any more. */
  pollIntervalMs: number
}

/** What there is no good look at for too long: SkyPilot, or the cluster; null while the job on it is in sight. */
function blindTo(
  sources: readonly SourceRow[],
  clusterName: string | null,
  pollIntervalMs: number,
): Blind | null {
  const source = sourceFor(sources, clusterName)
  const sinceMs = blindSinceMs(source?.okAtMs ?? null, pollIntervalMs, Date.now())
  if (source === undefined || sinceMs === null) return null
  return { to: source.name === SKYPILOT ? 'SkyPilot' : 'its cluster', sinceMs }
}

/** The sources as they are told now: that nobody looks any more has been written down by nobody. */
export async function seenSources({ db, pollIntervalMs }: SeenDeps): Promise<SourceRow[]> {
  const sources = await listSources(db)
  const skypilot = sourceFor(sources, null)
  if (skypilot && blindTo(sources, null, pollIntervalMs)) skypilot.error ??= NOBODY_LOOKS
  return sources
}

const NOBODY_LOOKS = 'nobody has looked at SkyPilot since then: does a worker run?'

/** Adds to rows what is only true at the time of reading. */
export async function seenRows(
  { db, pollIntervalMs }: SeenDeps,
  rows: readonly ExperimentRow[],
  sources?: readonly SourceRow[],
): Promise<SeenRow[]> {
  const queued = rows.filter(({ phase }) => phase === 'queued').map(({ id }) => id)
  const [known, places] = await Promise.all([sources ?? listSources(db), queuePlaces(db, queued)])
  return rows.map((row) => ({
    ...asSeen(row, blindTo(known, row.clusterName, pollIntervalMs)),
    queue: places.get(row.id) ?? null,
  }))
}

export async function seenRow(deps: SeenDeps, row: ExperimentRow): Promise<SeenRow> {
  const [seen] = await seenRows(deps, [row])
  return seen ?? { ...row, queue: null }
}
