import type { ExperimentJson, JobJson } from '../../api/json.ts'

/** What the answers hold, each its part of it. */
export interface Answer {
  experiment: ExperimentJson
  applies: { now: string[]; next_run: string[] }
  experiments: ExperimentJson[]
  total: number
  jobs: JobJson[]
  orphans: unknown[]
  errors: Array<{ field: string }>
}
