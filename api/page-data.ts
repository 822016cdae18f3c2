import type { Pool } from 'pg'
import { type Phase, PHASES } from '../core/explain.ts'
import { listAttempts } from '../store/attempts.ts'
import { listEvents } from '../store/events.ts'
import { countByPhase, type ExperimentRow, getDeleted, listExperiments } from '../store/experiments.ts'
import { countOrphans } from '../store/fleet.ts'
import type { SourceRow } from '../store/sources.ts'
import type { DetailProps } from '../views/detail.tsx'
import type { Frame } from '../views/layout.tsx'
import type { ListProps, ListQuery } from '../views/list.tsx'
import { seenRows, seenSources } from './seen.ts'

export interface PageDeps {
  db: Pool
  /** How often SkyPilot is looked at. */
  pollIntervalMs: number
  /** Where the Temporal UI is, for links; null when nobody said. */
  temporalUiUrl: string | null
  temporalNamespace: string
}

const PAGE_SIZE = 100
const ATTEMPTS_SHOWN = 50
const EVENTS_SHOWN = 100
export const QUEUE_SHOWN = 200

/** Reads what a page shows. The same for the first answer and for what the event stream sends later. */
export async function frameOf(
  deps: PageDeps,
  section: Frame['section'] = 'experiments',
): Promise<Frame & { sources: SourceRow[] }> {
  return {
    nowMs: Date.now(),
    sources: await seenSources(deps),
    temporalUiUrl: deps.temporalUiUrl,
    section,
  }
}

export function listQueryOf(query: Record<string, string>): ListQuery {
  const page = Number(query['page'] ?? '1')
  return {
    q: (query['q'] ?? '').trim(),
    phase: PHASES.find((phase: Phase) => phase === query['phase']),
    isDeleting: query['deleting'] === '1',
    page: Number.isSafeInteger(page) && page >= 1 && page <= 1_000_000 ? page : 1,
  }
}

export async function listProps(deps: PageDeps, query: ListQuery): Promise<ListProps> {
  const search = query.q || undefined
  const which = query.isDeleting ? 'being-deleted' : 'living'
  const [frame, rows, counts, deleting, orphans] = await Promise.all([
    frameOf(deps),
    listExperiments(deps.db, {
      which,
      search,
      phases: query.phase ? [query.phase] : undefined,
      limit: PAGE_SIZE,
      offset: (query.page - 1) * PAGE_SIZE,
    }),
    countByPhase(deps.db, { search }),
    countByPhase(deps.db, { which: 'being-deleted', search }),
    countOrphans(deps.db),
  ])
  const seen = await seenRows(deps, rows, frame.sources)
  return { frame, query, rows: seen, counts, deleting: sum(deleting), orphans, pageSize: PAGE_SIZE }
}

const sum = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((total, count) => total + count, 0)

/** The experiment that was just deleted, as long as it is. */
export async function deletedOf(deps: PageDeps, id: string | undefined): Promise<ListProps['deleted']> {
  return id === undefined ? undefined : getDeleted(deps.db, id)
}

export async function detailProps(deps: PageDeps, row: ExperimentRow): Promise<DetailProps> {
  const [frame, attempts, events] = await Promise.all([
    frameOf(deps),
    listAttempts(deps.db, row.id, ATTEMPTS_SHOWN),
    listEvents(deps.db, { experimentId: row.id, limit: EVENTS_SHOWN }),
  ])
  const workflowUrl = deps.temporalUiUrl
    ? `${deps.temporalUiUrl}/namespaces/${encodeURIComponent(deps.temporalNamespace)}/workflows/experiment-${row.id}`
    : null
  const [of] = await seenRows(deps, [row], frame.sources)
  return { frame, of: of ?? { ...row, queue: null }, attempts, events, workflowUrl }
}
