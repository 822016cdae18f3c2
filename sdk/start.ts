import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { accept } from '../core/accept.ts'
import { born } from '../core/experiment.ts'
import type { DesiredState, Spec } from '../core/spec.ts'
import { FLEET_WORKFLOW_ID, WORKFLOW_TASK_QUEUE, workflowIdOf } from '../workflows/definitions.ts'

/** Takeover after a worker's sudden death takes as long as this; an honest workflow task takes well under 300 ms. */
const WORKFLOW_TASK_TIMEOUT = '3s'

export interface StartExperiment {
  id: number
  name: string
  spec: Spec
  desiredState: DesiredState
  actor: string
}

/** Starts the workflow of an experiment. One that exists already is left as it is. */
export async function startExperiment(temporal: Client, given: StartExperiment): Promise<void> {
  const atMs = Date.now()
  // The first wish travels with the birth: a creation that is cut short cannot lose it.
  const wish = { state: given.desiredState, actor: given.actor }
  const [start] = accept(born({ ...given, atMs }), { kind: 'setDesiredState', value: wish }, atMs)
  await ignoreExisting(
    temporal.workflow.start('experiment', {
      taskQueue: WORKFLOW_TASK_QUEUE,
      workflowId: workflowIdOf(given.id),
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      workflowIdConflictPolicy: 'FAIL',
      staticSummary: given.name,
      args: [start],
    }),
  )
}

/** Sees to it that the fleet is being watched. */
export async function startFleet(temporal: Client): Promise<void> {
  await ignoreExisting(
    temporal.workflow.start('fleet', {
      taskQueue: WORKFLOW_TASK_QUEUE,
      workflowId: FLEET_WORKFLOW_ID,
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      staticSummary: 'watches SkyPilot for all experiments',
    }),
  )
}

async function ignoreExisting(start: Promise<unknown>): Promise<void> {
  try {
    await start
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
  }
}
