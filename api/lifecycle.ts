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

/** The row comes first and holds the name; a workflow that could not be started now is started by the fleet. */
export async function create(
  { db, experiments }: DeskDeps,
  input: CreateInput,
  actor: string,
): Promise<ExperimentRow> {
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
    await experiments.start({ id, name, spec, policy, desiredState, actor })
  } catch (error) {
    if (error instanceof ControlUnavailable) return row
    throw error
  }
  return shown(db, row, 1)
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
    if (row.deletedAtMs !== null) await buryRow(db, row.id)
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
