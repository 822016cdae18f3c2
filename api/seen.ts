import { asSeen, blindSinceMs } from '../core/sight.ts'
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

/** The last good look at SkyPilot, when it is too long ago; null while SkyPilot is in sight. */
const blindOf = (sources: readonly SourceRow[], pollIntervalMs: number): number | null =>
  blindSinceMs(sources.find(isSkyPilot)?.okAtMs ?? null, pollIntervalMs, Date.now())

const isSkyPilot = ({ name }: SourceRow): boolean => name === 'skypilot'

/** The sources as they are told now: that nobody looks any more has been written down by nobody. */
export async function seenSources({ db, pollIntervalMs }: SeenDeps): Promise<SourceRow[]> {
  const sources = await listSources(db)
  const skypilot = sources.find(isSkyPilot)
  if (skypilot && blindOf(sources, pollIntervalMs) !== null) skypilot.error ??= NOBODY_LOOKS
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
  const blind = blindOf(known, pollIntervalMs)
  return rows.map((row) => ({ ...asSeen(row, blind), queue: places.get(row.id) ?? null }))
}

export async function seenRow(deps: SeenDeps, row: ExperimentRow): Promise<SeenRow> {
  const [seen] = await seenRows(deps, [row])
  return seen ?? { ...row, queue: null }
}
