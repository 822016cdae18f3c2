import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client'
import { accept } from '../core/accept.ts'
import { born, type Experiment, record } from '../core/experiment.ts'
import type { Policy } from '../core/policy.ts'
import type { DesiredState, Spec } from '../core/spec.ts'
import {
  endOrphanWorkflowId,
  FLEET_WORKFLOW_ID,
  type Orphan,
  WORKFLOW_TASK_QUEUE,
  workflowIdOf,
} from '../workflows/definitions.ts'

/** Takeover after a worker's sudden death takes as long as this; an honest workflow task takes well under 300 ms. */
const WORKFLOW_TASK_TIMEOUT = '3s'

export interface StartExperiment {
  id: number
  name: string
  spec: Spec
  policy: Policy
  desiredState: DesiredState
  actor: string
}

/** What is known of an experiment that was deleted: it goes on where it was, with its numbers never used twice. */
export interface RestoreExperiment extends StartExperiment {
  owner: string
  run: number
  nextSeq: number
  revision: number
  generation: number
}

/** Starts the workflow of an experiment. One that exists already is left as it is, and then this gives false. */
export async function startExperiment(temporal: Client, given: StartExperiment): Promise<boolean> {
  const atMs = Date.now()
  // The first wish travels with the birth: a creation that is cut short cannot lose it.
  const wish = { state: given.desiredState, actor: given.actor }
  const [start] = accept(born({ ...given, atMs }), { kind: 'setDesiredState', value: wish }, atMs)
  return begin(temporal, start, 'REJECT_DUPLICATE')
}

/** Starts the workflow of a deleted experiment anew. It runs nothing until somebody wishes it. */
export async function restoreExperiment(temporal: Client, given: RestoreExperiment): Promise<void> {
  const { owner, run, nextSeq, revision, generation, actor } = given
  const atMs = Date.now()
  const fresh = born({ ...given, atMs })
  const desired = { ...fresh.desired, generation: generation + 1 }
  const known = { ...fresh, owner, run, nextSeq, revision, projected: revision, desired, events: [] }
  const start = record(known, { atMs, kind: 'undeleted', actor, text: 'brought back', detail: {} })
  await begin(temporal, start, 'ALLOW_DUPLICATE')
}

const begin = (
  temporal: Client,
  start: Experiment,
  workflowIdReusePolicy: 'REJECT_DUPLICATE' | 'ALLOW_DUPLICATE',
): Promise<boolean> =>
  ignoreExisting(
    temporal.workflow.start('experiment', {
      taskQueue: WORKFLOW_TASK_QUEUE,
      workflowId: workflowIdOf(start.id),
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      workflowIdReusePolicy,
      workflowIdConflictPolicy: 'FAIL',
      staticSummary: start.name,
      args: [start],
    }),
  )

/** Ends what belongs to no experiment. Asking twice is asking once. */
export async function startEndOfOrphan(temporal: Client, orphan: Orphan): Promise<void> {
  await ignoreExisting(
    temporal.workflow.start('endOrphan', {
      taskQueue: WORKFLOW_TASK_QUEUE,
      workflowId: endOrphanWorkflowId(orphan),
      workflowTaskTimeout: WORKFLOW_TASK_TIMEOUT,
      staticSummary: orphan.kind === 'job' ? `ends job ${orphan.jobId}` : `ends cluster ${orphan.name}`,
      args: [orphan],
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

/** False: it was there already. */
async function ignoreExisting(start: Promise<unknown>): Promise<boolean> {
  try {
    await start
    return true
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error
    return false
  }
}
