import type { Mutant } from './mutant.ts'
import { ACTIVITY_MUTANTS } from './mutants-activities.ts'
import { BELIEF_MUTANTS, FENCE_MUTANTS, LAUNCH_MUTANTS } from './mutants-core.ts'
import { TABLE_MUTANTS } from './mutants-tables.ts'
import { WORKFLOW_MUTANTS } from './mutants-workflow.ts'

/** Every protection of the shipped code that is switched off, and the test that must notice. */
export const MUTANTS: readonly Mutant[] = [
  ...ACTIVITY_MUTANTS,
  ...LAUNCH_MUTANTS,
  ...BELIEF_MUTANTS,
  ...FENCE_MUTANTS,
  ...WORKFLOW_MUTANTS,
  ...TABLE_MUTANTS,
]
