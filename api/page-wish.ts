import type { Pool } from 'pg'
import type { Experiment } from '../core/experiment.ts'
import type { DesiredState } from '../core/spec.ts'
import type { By, Experiments } from '../sdk/experiments.ts'
import { type ExperimentRow, getPresent } from '../store/experiments.ts'
import { duration } from '../views/format.tsx'
import { Problem } from './problem.ts'
import { reach, shown } from './reach.ts'

interface PageWish {
  state: DesiredState
  /** What was wanted when the page was drawn, by its number; null for a page that does not say. */
  generation: number | null
}

/** The page was drawn before somebody wanted something else. `row` is how it is now. */
export class OutdatedPage extends Problem {
  readonly row: ExperimentRow

  constructor(row: ExperimentRow, { state, actor, atMs }: Experiment['desired']) {
    const said = `${state} is wanted by ${actor}, who said so ${duration(Date.now() - atMs)} ago`
    super(
      409,
      `Nothing was done, for this page was out of date: ${said}. It shows how things are now; press again if you still mean it.`,
    )
    this.row = row
  }
}

interface PageWishDeps {
  db: Pool
  experiments: Experiments
  setDesiredState: (id: string, state: DesiredState, by: By) => Promise<ExperimentRow>
}

/**
 * A wish by a button of a page. A page may be a day old, and what its button would start or stop is then not what the
 * person saw: that is refused. It may also be a moment behind the person's own clicks, which is not.
 * @throws OutdatedPage
 */
export async function wishOfPage(
  deps: PageWishDeps,
  id: string,
  { state, generation }: PageWish,
  by: By,
): Promise<ExperimentRow> {
  try {
    return await deps.setDesiredState(id, state, { ...by, ifRevision: generation })
  } catch (error) {
    const now = error instanceof Problem && error.status === 409 ? await nowOf(deps, id) : undefined
    if (!now || now.desired.generation === generation) throw error
    const { desired } = now
    if (!changesNothing(state, desired) && !isOwn(desired, by)) throw await outdated(deps, id, now)
    return deps.setDesiredState(id, state, { ...by, ifRevision: desired.generation })
  }
}

/** Whoever said a moment ago what is wanted knows it, whatever the page that they click on shows. */
const OWN_WISH_MS = 10_000

const isOwn = ({ actor, atMs }: Experiment['desired'], by: By): boolean =>
  actor === by.actor && Math.abs(Date.now() - atMs) < OWN_WISH_MS

/** RUNNING may begin another run; the others are so already. */
const changesNothing = (state: DesiredState, desired: Experiment['desired']): boolean =>
  state === desired.state && state !== 'RUNNING'

async function nowOf({ db, experiments }: PageWishDeps, id: string): Promise<Experiment | undefined> {
  const row = await getPresent(db, id)
  return row?.deletedAtMs === null ? reach(() => experiments.state(row.id)) : undefined
}

async function outdated({ db }: PageWishDeps, id: string, now: Experiment): Promise<Problem> {
  const row = await getPresent(db, id)
  if (!row) return new Problem(404, `Experiment '${id}' not found`)
  const { state: desiredState, generation: desiredGeneration } = now.desired
  // The tables may be late, and a page that is drawn from them would be out of date again.
  const after = await shown(db, row, now.revision)
  return new OutdatedPage({ ...after, desiredState, desiredGeneration }, now.desired)
}
