import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { born } from '../core/experiment.ts'
import type { Spec } from '../core/spec.ts'
import {
  FLEET_WORKFLOW_ID,
  type FleetInput,
  WORKFLOW_TASK_QUEUE,
  workflowIdOf,
} from '../workflows/definitions.ts'

/** Takeover after a worker's sudden death takes as long as this; an honest workflow task takes well under 300 ms. */
const WORKFLOW_TASK_TIMEOUT = '3s'

/** Starts the workflow of an experiment. One that exists already is left as it is. */
export async function startExperiment(
  temporal: Client,
  given: { id: number; name: string; spec: Spec; actor: string },
): Promise<void> {
  await ignoreExisting(
    temporal.workflow.start('experiment', {
      taskQueue: WORKFLOW_TASK_QUEUE,
      workflowId: workflowIdOf(given.id),
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      workflowIdConflictPolicy: 'FAIL',
      staticSummary: given.name,
      args: [born({ ...given, atMs: Date.now() })],
    }),
  )
}

/** Sees to it that the fleet is being watched. */
export async function startFleet(temporal: Client, input: FleetInput): Promise<void> {
  await ignoreExisting(
    temporal.workflow.start('fleet', {
      taskQueue: WORKFLOW_TASK_QUEUE,
      workflowId: FLEET_WORKFLOW_ID,
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      staticSummary: 'watches SkyPilot for all experiments',
      args: [input],
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
