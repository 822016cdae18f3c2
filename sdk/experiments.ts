import {
  type Client,
  ServiceError,
  WorkflowNotFoundError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client'
import type { Receipt } from '../core/accept.ts'
import type { Experiment } from '../core/experiment.ts'
import type { Spec } from '../core/spec.ts'
import * as messages from '../workflows/definitions.ts'
import { type StartExperiment, startExperiment } from './start.ts'

/** Temporal did not answer: the wish may or may not have arrived. Asking again with the same wish is harmless. */
export class ControlUnavailable extends Error {
  override readonly name = 'ControlUnavailable'
}

/** What every wish may carry beside itself. */
export interface By {
  actor: string
  reason?: string | null
  ifRevision?: number | null
}

/** Talks to the workflows of experiments. Knows no database and no SkyPilot. */
export interface Experiments {
  start(given: StartExperiment): Promise<void>
  setDesiredState(id: number, state: string, by: By): Promise<Receipt>
  setFlags(id: number, flags: unknown, by: By): Promise<Receipt>
  edit(id: number, change: { name?: string; spec: Partial<Spec> }, by: By): Promise<Receipt>
  delete(id: number, by: By): Promise<Receipt>
  state(id: number): Promise<Experiment | undefined>
  refresh(): Promise<void>
}

/** A wish is acknowledged in tens of milliseconds; what takes longer than this is reported as unknown. */
const ANSWER_MS = 5_000

export function createExperiments(temporal: Client): Experiments {
  const handle = (id: number) => temporal.workflow.getHandle(messages.workflowIdOf(id))

  const ask = <T>(work: () => Promise<T>): Promise<T> =>
    available(() => temporal.withDeadline(Date.now() + ANSWER_MS, work))

  const wish = (id: number, update: typeof messages.setDesiredState, value: unknown): Promise<Receipt> =>
    ask(async () => {
      try {
        return await handle(id).executeUpdate(update, { args: [value] })
      } catch (error) {
        if (error instanceof WorkflowNotFoundError)
          return { accepted: false, reason: 'the experiment is not there any more' }
        throw error
      }
    })

  return {
    start: (given) => ask(() => startExperiment(temporal, given)),
    setDesiredState: (id, state, by) => wish(id, messages.setDesiredState, { state, ...by }),
    setFlags: (id, flags, by) => wish(id, messages.setFlags, { flags, ...by }),
    edit: (id, change, by) => wish(id, messages.edit, { ...change, ...by }),
    delete: (id, by) => wish(id, messages.deleteExperiment, by),
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

async function available<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (isAway(error))
      throw new ControlUnavailable('Temporal did not answer; nothing is lost, ask again', { cause: error })
    throw error
  }
}

const isAway = (error: unknown): boolean =>
  error instanceof ServiceError || error instanceof WorkflowUpdateRPCTimeoutOrCancelledError
