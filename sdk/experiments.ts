import {
  type Client,
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

export function createExperiments(temporal: Client): Experiments {
  const handle = (id: number) => temporal.workflow.getHandle(messages.workflowIdOf(id))

  const ask = <T>(work: () => Promise<T>): Promise<T> =>
    available(() => temporal.withDeadline(Date.now() + ANSWER_MS, work))

  const wish = (id: number, kind: Wish['kind'], value: unknown): Promise<Receipt> =>
    ask(async () => {
      try {
        return await handle(id).executeUpdate(messages.wishUpdates[kind], { args: [value] })
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
