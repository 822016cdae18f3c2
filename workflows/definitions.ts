import { defineQuery, defineSignal, defineUpdate } from '@temporalio/workflow'
import type { Receipt } from '../core/accept.ts'
import type { Fact } from '../core/evolve.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Explanation } from '../core/explain.ts'

export const WORKFLOW_TASK_QUEUE = 'skydeck'
export const LAUNCH_TASK_QUEUE = 'skydeck-launch'
export const FLEET_WORKFLOW_ID = 'fleet'

export const workflowIdOf = (experimentId: number): string => `experiment-${experimentId}`

/**
 * Wishes. Each exists twice under one name: as a signal for command lines, which get no answer, and as an update
 * for callers that want a receipt. What they carry is `unknown`, because anybody can send anything.
 */
export const setDesiredStateSignal = defineSignal<[unknown]>('setDesiredState')
export const setDesiredState = defineUpdate<Receipt, [unknown]>('setDesiredState')
export const setFlagsSignal = defineSignal<[unknown]>('setFlags')
export const setFlags = defineUpdate<Receipt, [unknown]>('setFlags')
export const cancelJobSignal = defineSignal<[unknown]>('cancelJob')
export const cancelJob = defineUpdate<Receipt, [unknown]>('cancelJob')
export const editSignal = defineSignal<[unknown]>('edit')
export const edit = defineUpdate<Receipt, [unknown]>('edit')
export const deleteSignal = defineSignal<[unknown]>('delete')
export const deleteExperiment = defineUpdate<Receipt, [unknown]>('delete')

/** What the fleet saw of this experiment's jobs. */
export const observe = defineSignal<[Fact[]]>('observe')

export const getState = defineQuery<Experiment>('getState')
export const explainQuery = defineQuery<Explanation>('explain')

/** Look at SkyPilot now, without waiting for the next interval. */
export const refreshFleet = defineSignal('refresh')
