import type { Phase } from '../core/explain.ts'
import type { Policy } from '../core/policy.ts'
import type { DesiredState, Spec } from '../core/spec.ts'

/** An experiment, as far as a page shows it. */
export interface ExperimentView {
  id: number
  name: string
  description: string | null
  spec: Spec
  policy: Policy
  owner: string
  desiredState: DesiredState
  /** Counts what was wanted: a page that shows an older one is out of date. */
  desiredGeneration: number
  desiredActor: string
  desiredReason: string | null
  desiredAtMs: number
  run: number
  phase: Phase
  headline: string
  headlineSinceMs: number
  why: string
  evidence: readonly string[]
  next: string | null
  nextAtMs: number | null
  heldBy: string | null
  heldReason: string | null
  queue: { place: number; of: number } | null
  clusterName: string | null
  clusterStatus: string | null
  clusterAutostopMinutes: number | null
  clusterLaunchedAtMs: number | null
  status: string | null
  jobId: number | null
  /** Under which id the API knows its current job. */
  jobKey: string | null
  exitCode: number | null
  createdAtMs: number
  updatedAtMs: number
  /** When it was deleted; the clean-up may still go on. */
  deletedAtMs: number | null
  seenAtMs: number | null
}

export interface AttemptView {
  run: number
  attempt: number
  jobName: string
  jobId: number | null
  clusterName: string | null
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
  /** Is the experiment deleted now? */
  isDeleted: boolean
}

/** How old our knowledge of SkyPilot is. */
export interface SourceView {
  name: string
  triedAtMs: number
  okAtMs: number | null
  error: string | null
}

/** A job or a cluster of no experiment. */
export interface OrphanView {
  kind: 'job' | 'cluster'
  key: string
  name: string
  status: string
  detail: string | null
  firstSeenAtMs: number
}

/** One that waits for its launch. */
export interface QueuedView {
  id: number
  name: string
  owner: string
  priority: number
  queuedAtMs: number
  why: string
  place: number
  of: number
}
