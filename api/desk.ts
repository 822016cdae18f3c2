import type { Pool } from 'pg'
import type { Receipt } from '../core/accept.ts'
import type { DesiredState } from '../core/spec.ts'
import type { By, Experiments } from '../sdk/experiments.ts'
import { ControlUnavailable } from '../sdk/experiments.ts'
import { getAttemptByJob } from '../store/attempts.ts'
import {
  editNotes,
  type ExperimentRow,
  getExperiment,
  type Notes,
  renameExperiment,
  reserveExperiment,
} from '../store/experiments.ts'
import { listSources } from '../store/sources.ts'
import { changesOf, type CreateInput, type EditInput, specOf } from './experiment-input.ts'
import { Problem } from './problem.ts'

export interface DeskDeps {
  db: Pool
  experiments: Experiments
}

/** How long an answer waits for the tables to show what was just accepted. */
const SHOWN_WITHIN_MS = 1_000
const LOOKED_WITHIN_MS = 10_000
const CHECK_MS = 15

export type Desk = ReturnType<typeof createDesk>

/** What people can do, the same for the JSON routes and the pages. Everything refused is thrown as a Problem. */
export function createDesk({ db, experiments }: DeskDeps) {
  async function find(idOrName: string): Promise<ExperimentRow> {
    const row = await getExperiment(db, idOrName)
    if (!row) throw new Problem(404, `Experiment '${idOrName}' not found`)
    return row
  }

  /** Asks a workflow, and returns the row once the tables show the answer. */
  async function wished(row: ExperimentRow, wish: () => Promise<Receipt>): Promise<ExperimentRow> {
    const receipt = await reach(wish)
    if (!receipt.accepted) throw new Problem(receipt.reason.includes('meanwhile') ? 409 : 422, receipt.reason)
    return shown(db, row, receipt.revision)
  }

  async function setDesiredState(idOrName: string, state: DesiredState, by: By): Promise<ExperimentRow> {
    const row = await find(idOrName)
    const after = await wished(row, () => experiments.setDesiredState(row.id, state, by))
    return { ...after, desiredState: state }
  }

  return {
    find,
    setDesiredState,
    create: (input: CreateInput, actor: string) => create({ db, experiments }, input, actor),

    async edit(idOrName: string, input: EditInput, by: By): Promise<ExperimentRow> {
      const row = await find(idOrName)
      await editNotes(db, row.id, notesOf(input))
      const spec = changesOf(input, row.spec)
      const name = input.name === row.name ? undefined : input.name
      if (name === undefined && Object.keys(spec).length === 0) return find(String(row.id))
      // The row holds the name first, so that two experiments can never be given the same one.
      if (name !== undefined && !(await renameExperiment(db, row.id, name))) throw nameTaken(name)
      const change = { spec, ...(name === undefined ? {} : { name }) }
      return wished(row, () => experiments.edit(row.id, change, by))
    },

    async note(idOrName: string, notes: Partial<Notes>): Promise<void> {
      await editNotes(db, (await find(idOrName)).id, notes)
    },

    async remove(idOrName: string, by: By): Promise<void> {
      const row = await find(idOrName)
      const receipt = await reach(() => experiments.delete(row.id, by))
      if (!receipt.accepted) throw new Problem(409, receipt.reason)
      await shown(db, row, receipt.revision)
    },

    /** Cancels a job: its experiment is to be STOPPED, which is what keeps it cancelled. */
    async cancelJob(jobId: string, by: By): Promise<ExperimentRow> {
      const attempt = /^\d{1,9}$/.test(jobId) ? await getAttemptByJob(db, Number(jobId)) : undefined
      if (!attempt) throw new Problem(404, `Job '${jobId}' not found`)
      if (attempt.phase !== 'active' || attempt.outcome !== null)
        throw new Problem(400, `Job '${jobId}' is not active: it is ${attempt.status}`)
      return setDesiredState(String(attempt.experimentId), 'STOPPED', by)
    },

    /** Has the fleet look at SkyPilot now. False when that look was not over in time. */
    async refresh(): Promise<boolean> {
      const askedAtMs = Date.now()
      await reach(() => experiments.refresh())
      const look = await within(LOOKED_WITHIN_MS, async () => {
        const source = (await listSources(db)).find(({ name }) => name === 'skypilot')
        return source && source.triedAtMs >= askedAtMs ? source : undefined
      })
      if (look && look.error !== null) throw new Problem(503, `SkyPilot could not be asked: ${look.error}`)
      return look !== undefined
    },
  }
}

const nameTaken = (name: string): Problem =>
  new Problem(409, `Experiment with name '${name}' already exists`, [
    { field: 'name', message: 'another experiment has this name' },
  ])

/** The row comes first and holds the name; a workflow that could not be started now is started by the fleet. */
async function create(
  { db, experiments }: DeskDeps,
  input: CreateInput,
  actor: string,
): Promise<ExperimentRow> {
  const spec = specOf(input)
  const row = await reserveExperiment(db, {
    name: input.name,
    description: input.description ?? null,
    tags: input.tags ?? [],
    label: input.group ?? null,
    sortOrder: input.order ?? 0,
    spec,
    desiredState: input.desired_state,
    createdBy: actor,
  })
  if (!row) throw nameTaken(input.name)
  const { id, name, desiredState } = row
  try {
    await experiments.start({ id, name, spec, desiredState, actor })
  } catch (error) {
    if (error instanceof ControlUnavailable) return row
    throw error
  }
  return shown(db, row, 1)
}

async function shown(db: Pool, row: ExperimentRow, revision: number): Promise<ExperimentRow> {
  let last = row
  await within(SHOWN_WITHIN_MS, async () => {
    const now = await getExperiment(db, String(row.id))
    last = now ?? last
    // A deleted experiment is found no more, which is what was asked.
    return now === undefined || now.revision >= revision ? true : undefined
  })
  return last
}

/** Asks again and again until there is an answer or the time is over. */
async function within<T>(ms: number, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const untilMs = Date.now() + ms
  for (;;) {
    const answer = await ask()
    if (answer !== undefined || Date.now() > untilMs) return answer
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS))
  }
}

async function reach<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ControlUnavailable) throw new Problem(503, error.message)
    throw error
  }
}

function notesOf({ description, tags, group, order }: EditInput): Partial<Notes> {
  return {
    ...(description === undefined ? {} : { description }),
    ...(tags === undefined ? {} : { tags }),
    ...(group === undefined ? {} : { label: group }),
    ...(order === undefined ? {} : { sortOrder: order }),
  }
}
