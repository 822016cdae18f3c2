import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Client,
  isGrpcServiceError,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client'
import type { Wish } from '../core/accept.ts'
import type { Experiment } from '../core/experiment.ts'
import type { PolicyChange } from '../core/policy.ts'
import type { Receipt } from '../core/receipt.ts'
import type { Spec } from '../core/spec.ts'
import * as messages from '../workflows/definitions.ts'
import {
  type RestoreExperiment,
  restoreExperiment,
  startEndOfOrphan,
  type StartExperiment,
  startExperiment,
} from './start.ts'

/**
 * Temporal or the workflow did not answer: the wish may or may not have arrived. Asking again with the same wish is
 * harmless.
 */
export class ControlUnavailable extends Error {
  override readonly name = 'ControlUnavailable'
}

/** What every wish may carry beside itself. */
export interface By {
  actor: string
  reason?: string | null
  ifRevision?: number | null
}

/** What an edit changes; the policy holds at once, the spec from the next launch on. */
export interface Change {
  name?: string
  spec?: Partial<Spec>
  policy?: PolicyChange
}

/** A managed job, a job on a cluster, or a cluster without a job. */
export interface Adoption {
  jobId?: number
  jobName?: string
  clusterName?: string
}

/** Talks to the workflows of experiments. Knows no database and no SkyPilot. */
export interface Experiments {
  /** False: there is a workflow of this number already. */
  start(given: StartExperiment): Promise<boolean>
  setDesiredState(id: number, state: string, by: By): Promise<Receipt>
  setFlags(id: number, flags: unknown, by: By): Promise<Receipt>
  edit(id: number, change: Change, by: By): Promise<Receipt>
  /** Hands off: nothing is done, whatever is wanted. */
  hold(id: number, by: By): Promise<Receipt>
  release(id: number, by: By): Promise<Receipt>
  /** A person says, with the reason, that they looked and nothing runs any more. */
  confirmGone(id: number, by: By): Promise<Receipt>
  adopt(id: number, what: Adoption, by: By): Promise<Receipt>
  delete(id: number, by: By): Promise<Receipt>
  /** Undoes a deletion whose clean-up goes on; refused once the experiment is gone, which is what `restore` is for. */
  undelete(id: number, by: By): Promise<Receipt>
  restore(given: RestoreExperiment): Promise<void>
  endOrphan(orphan: messages.Orphan): Promise<void>
  state(id: number): Promise<Experiment | undefined>
  refresh(): Promise<void>
}

/** A wish is acknowledged in tens of milliseconds; what takes longer than this is reported as unknown. */
const ANSWER_MS = 5_000

/** How long the pauses are before a wish that was given back is sent again. */
const AGAIN_MS = [50, 100, 200, 400, 800] as const

/** What Temporal answers where a workflow's task failed before it had taken the wish: FAILED_PRECONDITION of gRPC. */
const GIVEN_BACK = 9

export function createExperiments(temporal: Client): Experiments {
  const handle = (id: number) => temporal.workflow.getHandle(messages.workflowIdOf(id))

  const ask = <T>(work: () => Promise<T>): Promise<T> =>
    available(() => temporal.withDeadline(Date.now() + ANSWER_MS, work))

  const wish = (id: number, kind: Wish['kind'], value: unknown): Promise<Receipt> =>
    ask(async () => {
      const options = { args: [value] as [unknown], updateId: randomUUID() }
      try {
        return await untilTaken(() => handle(id).executeUpdate(messages.wishUpdates[kind], options))
      } catch (error) {
        if (error instanceof WorkflowNotFoundError)
          return { accepted: false, reason: 'the experiment is not there any more' }
        throw error
      }
    })

  return {
    start: (given) => ask(() => startExperiment(temporal, given)),
    setDesiredState: (id, state, by) => wish(id, 'setDesiredState', { state, ...by }),
    setFlags: (id, flags, by) => wish(id, 'setFlags', { flags, ...by }),
    edit: (id, change, by) => wish(id, 'edit', { ...change, ...by }),
    hold: (id, by) => wish(id, 'hold', by),
    release: (id, by) => wish(id, 'release', by),
    confirmGone: (id, by) => wish(id, 'confirmGone', by),
    adopt: (id, what, by) => wish(id, 'adopt', { ...what, ...by }),
    delete: (id, by) => wish(id, 'delete', by),
    undelete: (id, by) => wish(id, 'undelete', by),
    restore: (given) => ask(() => restoreExperiment(temporal, given)),
    endOrphan: (orphan) => ask(() => startEndOfOrphan(temporal, orphan)),
    state: (id) =>
      ask(async () => {
        try {
          return await handle(id).query(messages.getState)
        } catch (error) {
          if (error instanceof WorkflowNotFoundError) return undefined
          throw error
        }
      }),
    refresh: () =>
      ask(() => temporal.workflow.getHandle(messages.FLEET_WORKFLOW_ID).signal(messages.refreshFleet)),
  }
}

/**
 * Sends a wish again that was given back. A workflow task that wants a new run fails when a message came meanwhile, and
 * the wishes that it had read are not kept for the next one, as those that it had not read are. None was accepted, so
 * none can be carried out twice. Mirrors AbortReasonWorkflowTaskFailed of Temporal's server.
 */
async function untilTaken<T>(send: () => Promise<T>): Promise<T> {
  for (const pauseMs of AGAIN_MS) {
    try {
      return await send()
    } catch (error) {
      if (!wasGivenBack(error)) throw error
      await sleep(pauseMs)
    }
  }
  return send()
}

function wasGivenBack(error: unknown): boolean {
  if (!(error instanceof ServiceError && isGrpcServiceError(error.cause))) return false
  const code: number = error.cause.code
  return code === GIVEN_BACK
}

async function available<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isAway(error)) throw error
    const why = wasGivenBack(error)
      ? 'The tasks of the workflow fail, as its page in the Temporal UI tells'
      : 'Temporal did not answer'
    throw new ControlUnavailable(`${why}; nothing is lost, ask again`, { cause: error })
  }
}

const isAway = (error: unknown): boolean =>
  error instanceof ServiceError || error instanceof WorkflowUpdateRPCTimeoutOrCancelledError
