import { type Client, type WorkflowHandle, WorkflowNotFoundError } from '@temporalio/client'
import type { Payload } from '@temporalio/common'
import { WorkflowState, type WorkflowView } from './evidence.ts'

const ASK_MS = 15_000
const AT_ONCE = 8

/**
 * The server's own reasons to have a workflow task again; nothing is wrong with the workflow then. In Temporal's
 * numbers: unhandled command, reset sticky task queue, force close, failover close, unhandled update.
 */
const HARMLESS: ReadonlySet<number> = new Set([1, 13, 17, 18, 31])

type History = Awaited<ReturnType<WorkflowHandle['fetchHistory']>>
type HistoryEvent = NonNullable<History['events']>[number]

/** Asks the workflows of all these experiments how they stand, a few at a time. */
export async function viewWorkflows(temporal: Client, ids: readonly number[]): Promise<WorkflowView[]> {
  const waiting = [...ids]
  const views: WorkflowView[] = []
  const asker = async (): Promise<void> => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift())
      views.push(await viewWorkflow(temporal, `experiment-${id}`, id))
  }
  await Promise.all(Array.from({ length: AT_ONCE }, asker))
  return [...views, await viewWorkflow(temporal, 'fleet', 0)]
}

async function viewWorkflow(
  temporal: Client,
  workflowId: string,
  experimentId: number,
): Promise<WorkflowView> {
  const handle = temporal.workflow.getHandle(workflowId)
  const within = <T>(work: () => Promise<T>): Promise<T> => temporal.withDeadline(Date.now() + ASK_MS, work)
  const nothing = { workflowId, experimentId, state: null, taskTries: 0, taskFailures: [], tokens: [] }
  try {
    const { status, raw } = await within(() => handle.describe())
    const histories = await historiesOf(temporal, workflowId)
    const events = histories.flatMap((history) => history.events ?? [])
    // One that is wedged answers no query, and its history says why.
    const asked =
      experimentId === 0 ? null : await within(() => handle.query<unknown>('getState')).catch(String)
    const state = typeof asked === 'string' ? null : WorkflowState.nullable().parse(asked)
    return {
      workflowId,
      experimentId,
      status: typeof asked === 'string' ? `${status.name}, ${asked}` : status.name,
      state,
      taskTries: raw.pendingWorkflowTask?.attempt ?? 0,
      taskFailures: events.flatMap(taskFailureOf),
      tokens: tokensOf(events),
    }
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return { ...nothing, status: 'ABSENT' }
    return { ...nothing, status: String(error) }
  }
}

/** The histories of all runs of a workflow, the newest first: each names the one that it continues. */
export async function historiesOf(temporal: Client, workflowId: string): Promise<History[]> {
  const histories: History[] = []
  for (let runId: string | undefined = ''; runId !== undefined;) {
    const handle: WorkflowHandle = temporal.workflow.getHandle(workflowId, runId === '' ? undefined : runId)
    const history: History = await temporal.withDeadline(Date.now() + ASK_MS, () => handle.fetchHistory())
    histories.push(history)
    const start = history.events?.[0]?.workflowExecutionStartedEventAttributes
    runId = start?.continuedExecutionRunId || undefined
  }
  return histories
}

/** What went wrong with a workflow task through a fault of the workflow; empty for all else. */
export function taskFailureOf(event: HistoryEvent): string[] {
  const failed = event.workflowTaskFailedEventAttributes
  if (!failed) return []
  const cause = Number(failed.cause)
  return HARMLESS.has(cause)
    ? []
    : [`event ${event.eventId}: cause ${cause} ${failed.failure?.message ?? ''}`]
}

/** The tokens of the commands that were accepted, wherever a command can come in. */
function tokensOf(events: readonly HistoryEvent[]): string[] {
  const found = events.flatMap((event) => {
    const update = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest
    const signal = event.workflowExecutionSignaledEventAttributes
    return [...startOf(event), ...payloadsOf(update?.input?.args), ...payloadsOf(signal?.input)].flatMap(
      ({ data }) => new TextDecoder().decode(Uint8Array.from(data ?? [])).match(/"chaos-[\w.]+"/g) ?? [],
    )
  })
  return [...new Set(found.map((quoted) => quoted.slice(1, -1)))]
}

/** A run that continues another carries the whole state, with all that was said before; only the first counts. */
function startOf(event: HistoryEvent): Payload[] {
  const start = event.workflowExecutionStartedEventAttributes
  return start?.continuedExecutionRunId ? [] : payloadsOf(start?.input)
}

const payloadsOf = (given: { payloads?: Payload[] | null } | null | undefined): Payload[] =>
  given?.payloads ?? []
