import type { Pool } from 'pg'
import type { Receipt } from '../core/receipt.ts'
import { sourceFor } from '../core/sight.ts'
import type { DesiredState } from '../core/spec.ts'
import type { By, Experiments } from '../sdk/experiments.ts'
import { type AttemptRow, getAttempt, getAttemptByJob } from '../store/attempts.ts'
import {
  editNotes,
  type ExperimentRow,
  getPresent,
  type Notes,
  renameExperiment,
  takeBackName,
} from '../store/experiments.ts'
import { listSources } from '../store/sources.ts'
import { type AdoptInput, adoptionOf, findOrphan, noteAdopted } from './adoption.ts'
import { type Applies, appliesOf } from './applies.ts'
import { changesOf, type CreateInput, type EditInput } from './experiment-input.ts'
import { checkLength, create, nameTaken, undelete } from './lifecycle.ts'
import { wishOfPage } from './page-wish.ts'
import { policyOf } from './policy-input.ts'
import { Problem } from './problem.ts'
import { accepted, reach, shown, within } from './reach.ts'

export interface DeskDeps {
  db: Pool
  experiments: Experiments
}

const LOOKED_WITHIN_MS = 10_000

export type Desk = ReturnType<typeof createDesk>

/** What people can do, the same for the JSON routes and the pages. Everything refused is thrown as a Problem. */
export function createDesk(deps: DeskDeps) {
  const { db, experiments } = deps
  const { find, wished, setDesiredState } = createWishes(deps)

  return {
    find,
    setDesiredState,
    wishOfPage: (id: string, wish: { state: DesiredState; generation: number | null }, by: By) =>
      wishOfPage({ ...deps, setDesiredState }, id, wish, by),
    edit: (idOrName: string, input: EditInput, by: By) => edit(deps, idOrName, input, by),
    create: (input: CreateInput, actor: string) => create(deps, input, actor),
    undelete: (idOrName: string, by: By) => undelete(deps, idOrName, by),

    async note(idOrName: string, notes: Partial<Notes>): Promise<void> {
      await editNotes(db, (await find(idOrName)).id, notes)
    },

    /** Deletes it, and returns its last row: by its id the deletion can be undone. */
    async remove(idOrName: string, by: By): Promise<ExperimentRow> {
      const row = await findStarted(deps, idOrName, 'STOPPED')
      const receipt = await reach(() => experiments.delete(row.id, by))
      if (!receipt.accepted) throw new Problem(409, receipt.reason)
      return shown(db, row, receipt.revision)
    },

    hold: (idOrName: string, by: By) => wished(idOrName, ({ id }) => experiments.hold(id, by)),
    release: (idOrName: string, by: By) => wished(idOrName, ({ id }) => experiments.release(id, by)),
    confirmGone: (idOrName: string, by: By) => wished(idOrName, ({ id }) => experiments.confirmGone(id, by)),

    /** Takes a job or a cluster that belongs to nobody into this experiment. */
    adopt: (idOrName: string, input: AdoptInput, by: By) =>
      wished(idOrName, async ({ id }) => {
        const receipt = await experiments.adopt(id, await adoptionOf(db, id, input), by)
        if (receipt.accepted) await noteAdopted(db, input)
        return receipt
      }),

    /** Has a job or a cluster that belongs to nobody ended. */
    async endOrphan(kind: string, key: string): Promise<void> {
      const orphan = await findOrphan(db, kind, key)
      const ended =
        orphan.kind === 'job'
          ? { kind: orphan.kind, jobId: Number(orphan.key) }
          : { kind: orphan.kind, name: orphan.name }
      await reach(() => experiments.endOrphan(ended))
    },

    /** Cancels a job: its experiment is to be STOPPED, which is what keeps it cancelled. */
    async cancelJob(jobKey: string, by: By): Promise<ExperimentRow> {
      const attempt = await findJob(db, jobKey)
      if (attempt.phase !== 'active' || attempt.outcome !== null)
        throw new Problem(400, `Job '${jobKey}' is not active: it is ${attempt.status}`)
      return setDesiredState(String(attempt.experimentId), 'STOPPED', by)
    },

    /** Has the fleet look at SkyPilot now. False when that look was not over in time. */
    async refresh(): Promise<boolean> {
      const askedAtMs = Date.now()
      await reach(() => experiments.refresh())
      const look = await within(LOOKED_WITHIN_MS, async () => {
        const source = sourceFor(await listSources(db), null)
        return source && source.triedAtMs >= askedAtMs ? source : undefined
      })
      if (look && look.error !== null) throw new Problem(503, `SkyPilot could not be asked: ${look.error}`)
      return look !== undefined
    },
  }
}

function createWishes(deps: DeskDeps) {
  const { db, experiments } = deps
  const find = (idOrName: string): Promise<ExperimentRow> => findExperiment(db, idOrName)

  /** Asks a workflow, and returns the row once the tables show the answer. */
  async function wished(
    idOrName: string,
    wish: (row: ExperimentRow) => Promise<Receipt>,
  ): Promise<ExperimentRow> {
    const row = await findStarted(deps, idOrName)
    const { revision } = await accepted(() => wish(row))
    return shown(db, row, revision)
  }

  /** What is wanted is told as it was accepted, also where the tables are late: a page is drawn from it. */
  async function setDesiredState(idOrName: string, state: DesiredState, by: By): Promise<ExperimentRow> {
    const row = await findStarted(deps, idOrName, state === 'RUNNING' ? undefined : 'STOPPED')
    const { generation, revision } = await accepted(() => experiments.setDesiredState(row.id, state, by))
    const after = await shown(db, row, revision)
    return after.desiredGeneration > generation
      ? after
      : { ...after, desiredState: state, desiredGeneration: generation }
  }

  return { find, wished, setDesiredState }
}

async function findExperiment(db: Pool, idOrName: string): Promise<ExperimentRow> {
  const row = await getPresent(db, idOrName)
  if (!row) throw new Problem(404, `Experiment '${idOrName}' not found`)
  return row
}

/** One that takes wishes. @throws Problem 404, or 409 for one that is being deleted */
async function findLiving(db: Pool, idOrName: string): Promise<ExperimentRow> {
  const row = await findExperiment(db, idOrName)
  if (row.deletedAtMs !== null)
    throw new Problem(409, `${row.name} is being deleted; undelete it to have anything else done with it`)
  return row
}

/**
 * One that takes wishes and has a workflow to take them. Where Temporal was away at its creation that is begun first; with
 * `wanted` in place of what its creation wanted, where the wish that follows is for the opposite.
 */
async function findStarted(
  { db, experiments }: DeskDeps,
  idOrName: string,
  wanted?: DesiredState,
): Promise<ExperimentRow> {
  const row = await findLiving(db, idOrName)
  const { id, name, spec, policy, createdBy: actor, desiredState } = row
  if (row.revision === 0)
    await reach(() =>
      experiments.start({ id, name, spec, policy, actor, desiredState: wanted ?? desiredState }),
    )
  return row
}

/** Finds a job by the id that the API gives it: SkyPilot's for managed jobs, `experiment.run.attempt` on clusters. */
export async function findJob(db: Pool, key: string): Promise<AttemptRow & { jobId: number }> {
  const [, experimentId, run, attempt] = /^(\d{1,9})\.(\d{1,9})\.(\d{1,9})$/.exec(key) ?? []
  const found =
    attempt === undefined
      ? /^\d{1,9}$/.test(key) && (await getAttemptByJob(db, Number(key)))
      : await getAttempt(db, {
          experimentId: Number(experimentId),
          run: Number(run),
          attempt: Number(attempt),
        })
  if (!found || found.jobId === null) throw new Problem(404, `Job '${key}' not found`)
  return { ...found, jobId: found.jobId }
}

async function edit(
  deps: DeskDeps,
  idOrName: string,
  input: EditInput,
  by: By,
): Promise<{ row: ExperimentRow; applies: Applies }> {
  const { db, experiments } = deps
  const row = await findStarted(deps, idOrName)
  const spec = changesOf(input, row.spec)
  const policy = policyOf(input)
  checkLength({ ...row.spec, ...spec })
  const name = input.name === row.name ? undefined : input.name
  // What people note beside it comes last: an edit that is refused has changed nothing.
  const note = (): Promise<void> => editNotes(db, row.id, notesOf(input))
  if (name === undefined && Object.keys({ ...spec, ...policy }).length === 0) {
    await note()
    return { row: await findExperiment(db, String(row.id)), applies: appliesOf(input, row) }
  }
  // The row holds the name first, so that two experiments can never be given the same one.
  if (name !== undefined && !(await renameExperiment(db, row.id, name))) throw nameTaken(name)
  const change = { spec, policy, ...(name === undefined ? {} : { name }) }
  const { revision, applies } = await accepted(() => experiments.edit(row.id, change, by)).catch(
    async (error: unknown) => {
      if (name !== undefined) await takeBackName(db, row)
      throw error
    },
  )
  await note()
  return { row: await shown(db, row, revision), applies: appliesOf(input, row, applies) }
}

function notesOf({ description, tags, group, order }: EditInput): Partial<Notes> {
  return {
    ...(description === undefined ? {} : { description }),
    ...(tags === undefined ? {} : { tags }),
    ...(group === undefined ? {} : { label: group }),
    ...(order === undefined ? {} : { sortOrder: order }),
  }
}
