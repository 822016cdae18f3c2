import { checkCommands } from './check-commands.ts'
import { checkJobs } from './check-jobs.ts'
import { checkState } from './check-state.ts'
import type { Evidence, Violation } from './evidence.ts'

/** Everything that is wrong in what was seen. Pure: the same evidence gives the same answer. */
export const check = (evidence: Evidence): Violation[] => [
  ...checkJobs(evidence),
  ...checkCommands(evidence),
  ...checkState(evidence),
]
