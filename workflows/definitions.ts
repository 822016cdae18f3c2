import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow'
import type { Wish } from '../core/accept.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Explanation } from '../core/explain.ts'
import type { Fact } from '../core/facts.ts'
import type { Receipt } from '../core/receipt.ts'

export const WORKFLOW_TASK_QUEUE = 'skydeck'
export const LAUNCH_TASK_QUEUE = 'skydeck-launch'
export const FLEET_WORKFLOW_ID = 'fleet'

export const workflowIdOf = (experimentId: number): string => `experiment-${experimentId}`

const signal = (name: Wish['kind']) => defineSignal<[unknown]>(name)
const update = (name: Wish['kind']) => defineUpdate<Receipt, [unknown]>(name)

/**
 * Wishes. Each exists twice under one name: as a signal for command lines, which get no answer, and as an update
 * for callers that want a receipt. What they carry is `unknown`, because anybody can send anything.
 */
export const wishSignals = {
  setDesiredState: signal('setDesiredState'),
  setFlags: signal('setFlags'),
  cancelJob: signal('cancelJob'),
  edit: signal('edit'),
  hold: signal('hold'),
  release: signal('release'),
  adopt: signal('adopt'),
  confirmGone: signal('confirmGone'),
  delete: signal('delete'),
  undelete: signal('undelete'),
} as const satisfies Record<Wish['kind'], unknown>

export const wishUpdates = {
  setDesiredState: update('setDesiredState'),
  setFlags: update('setFlags'),
  cancelJob: update('cancelJob'),
  edit: update('edit'),
  hold: update('hold'),
  release: update('release'),
  adopt: update('adopt'),
  confirmGone: update('confirmGone'),
  delete: update('delete'),
  undelete: update('undelete'),
} as const satisfies Record<Wish['kind'], unknown>

/** What the fleet saw of this experiment's jobs and cluster. */
export const observe = defineSignal<[Fact[]]>('observe')

export const getState = defineQuery<Experiment>('getState')
export const explainQuery = defineQuery<Explanation>('explain')

/** Look at SkyPilot now, without waiting for the next interval. */
export const refreshFleet = defineSignal('refresh')

/** A job or a cluster that belongs to no experiment. */
export type Orphan = { kind: 'job'; jobId: number } | { kind: 'cluster'; name: string }

export const endOrphanWorkflowId = (orphan: Orphan): string =>
  orphan.kind === 'job' ? `end-job-${orphan.jobId}` : `end-cluster-${orphan.name}`
