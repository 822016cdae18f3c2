import { changedPolicy, DEFAULT_POLICY } from '../core/policy.ts'
import { type Spec, whyTooLong } from '../core/spec.ts'
import { type By, ControlUnavailable } from '../sdk/experiments.ts'
import {
  buryRow,
  type ExperimentRow,
  getDeleted,
  getExperiment,
  nextSeq,
  reserveExperiment,
  reviveRow,
  unreserve,
} from '../store/experiments.ts'
import type { DeskDeps } from './desk.ts'
import { type CreateInput, specOf } from './experiment-input.ts'
import { policyOf } from './policy-input.ts'
import { Problem } from './problem.ts'
import { reach, shown, shownAgain } from './reach.ts'

export const nameTaken = (name: string): Problem =>
  new Problem(409, `Experiment with name '${name}' already exists`, [
    { field: 'name', message: 'another experiment has this name' },
  ])

/** @throws Problem 422 for a spec that no workflow could carry */
export function checkLength(spec: Spec): void {
  const why = whyTooLong(spec)
  if (why !== undefined) throw new Problem(422, why, [{ field: 'command', message: why }])
}

/**
 * After the tables were put back to an earlier state they give numbers again that workflows have; so many are passed
 * over here. The look-out sees to the others, as soon as it works.
 */
const TAKEN_IDS_MAX = 100

export async function create(deps: DeskDeps, input: CreateInput, actor: string): Promise<ExperimentRow> {
  for (let tries = 0; tries < TAKEN_IDS_MAX; tries += 1) {
    const row = await tryToCreate(deps, input, actor)
    if (row) return row
  }
  throw new Problem(503, 'the tables are being brought up to what the workflows know; ask again')
}

/**
 * The row comes first and holds the name; a workflow that could not be started now is started by the fleet. Undefined
 * when its number is that of another experiment, of which the tables do not know.
 */
async function tryToCreate(
  { db, experiments }: DeskDeps,
  input: CreateInput,
  actor: string,
): Promise<ExperimentRow | undefined> {
  const spec = specOf(input)
  checkLength(spec)
  const policy = changedPolicy(DEFAULT_POLICY, policyOf(input))
  const row = await reserveExperiment(db, {
    name: input.name,
    description: input.description ?? null,
    tags: input.tags ?? [],
    label: input.group ?? null,
    sortOrder: input.order ?? 0,
    spec,
    policy,
    desiredState: input.desired_state,
    createdBy: actor,
  })
  if (!row) throw nameTaken(input.name)
  const { id, name, desiredState } = row
  try {
    if (await experiments.start({ id, name, spec, policy, desiredState, actor }))
      return await shown(db, row, 1)
  } catch (error) {
    if (error instanceof ControlUnavailable) return row
    throw error
  }
  await unreserve(db, id)
  return undefined
}

/**
 * Brings a deleted experiment back. The row takes its name first. While the clean-up goes on the workflow is told to
 * stop it; a workflow that is gone is started again from the row. Doing it twice, or again after it was cut short
 * half-way, comes to the same.
 */
export async function undelete(
  { db, experiments }: DeskDeps,
  idOrName: string,
  by: By,
): Promise<ExperimentRow> {
  const row = (await getDeleted(db, idOrName)) ?? (await getExperiment(db, idOrName))
  if (!row) throw new Problem(404, `Experiment '${idOrName}' not found`)
  if (!(await reviveRow(db, row.id))) throw nameTaken(row.name)
  try {
    const receipt = await reach(() => experiments.undelete(row.id, by))
    // This wish is refused only where there is no workflow any more.
    if (receipt.accepted) return await shownAgain(db, row, receipt.revision)
    await reach(async () => experiments.restore(await restoredFrom(db, row, by.actor)))
  } catch (error) {
    await buryRow(db, row)
    throw error
  }
  return shownAgain(db, row, row.revision + 1)
}

async function restoredFrom(db: DeskDeps['db'], row: ExperimentRow, actor: string) {
  return {
    id: row.id,
    name: row.name,
    spec: row.spec,
    policy: row.policy,
    owner: row.owner,
    desiredState: row.desiredState,
    actor,
    run: row.run,
    nextSeq: await nextSeq(db, row.id),
    revision: row.revision,
    generation: row.desiredGeneration,
  }
}
