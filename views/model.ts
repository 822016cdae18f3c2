import type { Phase } from '../core/explain.ts'
import type { DesiredState, Spec } from '../core/spec.ts'

/** An experiment, as far as a page shows it. */
export interface ExperimentView {
  id: number
  name: string
  description: string | null
  spec: Spec
  desiredState: DesiredState
  desiredActor: string
  desiredReason: string | null
  desiredAtMs: number
  run: number
  phase: Phase
  why: string
  status: string | null
  jobId: number | null
  exitCode: number | null
  createdAtMs: number
  updatedAtMs: number
  seenAtMs: number | null
}

export interface AttemptView {
  run: number
  attempt: number
  jobName: string
  jobId: number | null
  status: string
  outcome: string | null
  blame: string | null
  exitCode: number | null
  reason: string | null
  command: string
  recoveries: number
  createdAtMs: number
  startedAtMs: number | null
  endedAtMs: number | null
}

export interface EventView {
  experimentId: number
  experimentName: string
  seq: number
  atMs: number
  kind: string
  actor: string
  text: string
}

/** How old our knowledge of SkyPilot is. */
export interface SourceView {
  name: string
  triedAtMs: number
  okAtMs: number | null
  error: string | null
}
