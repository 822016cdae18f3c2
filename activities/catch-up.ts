import type { Client } from '@temporalio/client'
import { defaultPayloadConverter, type Payload } from '@temporalio/common'
import type { Pool } from 'pg'
import type { Snapshot } from '../core/snapshot.ts'
import { isRecord } from '../core/spec.ts'
import { liveRevisions, neverGiveIdsUpTo } from '../store/experiments.ts'
import { project } from '../store/project.ts'
import { workflowIdOf } from '../workflows/definitions.ts'

/** Histories that are read at once. */
const READERS = 8
const PAGE_EVENTS = 200

/** Anybody who may start workflows may give one any number; the tables have none above this. */
const ID_MAX = 1_000_000_000

export interface CatchUpDeps {
  db: Pool
  temporal: Client
  log: (message: string, fields?: Record<string, unknown>) => void
}

/**
 * Tells the tables everything again that workflows told them and they do not know any more, after they were put back to
 * an earlier state. Workflows believe that it is there, so nobody else does. Safe to repeat, and beside their own news.
 */
export async function catchUp(deps: CatchUpDeps): Promise<void> {
  const revisions = await liveRevisions(deps.db)
  for (const id of await runningIds(deps.temporal)) if (!revisions.has(id)) revisions.set(id, 0)
  // The next that is created must not get the number of one that the tables do not know.
  await neverGiveIdsUpTo(deps.db, Math.max(0, ...revisions.keys()))
  const waiting = [...revisions].toSorted(([one], [other]) => one - other)
  const reader = async (): Promise<void> => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await retell(deps, ...next)
  }
  await Promise.all(Array.from({ length: READERS }, reader))
}

async function runningIds({ workflow }: Client): Promise<number[]> {
  const ids: number[] = []
  const query = "WorkflowType = 'experiment' and ExecutionStatus = 'Running'"
  for await (const { workflowId } of workflow.list({ query })) {
    const id = Number(workflowId.slice(workflowIdOf(0).length - 1))
    if (workflowId === workflowIdOf(id) && id <= ID_MAX) ids.push(id)
  }
  return ids
}

/** One that cannot be told again, as when another took its name meanwhile, must not keep the others from it. */
async function retell({ db, temporal, log }: CatchUpDeps, id: number, revision: number): Promise<void> {
  try {
    const lost: Snapshot[] = []
    for await (const snapshot of toldBackwards(temporal, workflowIdOf(id))) {
      if (snapshot.revision <= revision) break
      lost.unshift(snapshot)
    }
    for (const snapshot of lost) await project(db, snapshot)
  } catch (error) {
    log('what the tables have lost of an experiment could not be told again', { id, reason: String(error) })
  }
}

/** What a workflow told the tables, the latest first, through all its runs that Temporal still has. */
async function* toldBackwards(temporal: Client, workflowId: string): AsyncIterable<Snapshot> {
  for await (const { activityTaskScheduledEventAttributes: scheduled } of eventsBackwards(
    temporal,
    workflowId,
  )) {
    const [payload] = scheduled?.input?.payloads ?? []
    if (payload && scheduled?.activityType?.name === 'project') yield snapshotIn(payload)
  }
}

async function* eventsBackwards(temporal: Client, workflowId: string) {
  for (let runId: string | null | undefined = ''; runId != null;) {
    let earlier: string | null | undefined
    for await (const event of eventsOfRun(temporal, { workflowId, runId })) {
      yield event
      earlier = event.workflowExecutionStartedEventAttributes?.continuedExecutionRunId
    }
    runId = earlier === '' ? undefined : earlier
  }
}

async function* eventsOfRun(temporal: Client, execution: { workflowId: string; runId: string }) {
  const { namespace } = temporal.options
  let nextPageToken: Uint8Array | undefined
  do {
    const page = await temporal.workflowService.getWorkflowExecutionHistoryReverse({
      namespace,
      execution,
      maximumPageSize: PAGE_EVENTS,
      ...(nextPageToken ? { nextPageToken } : {}),
    })
    yield* page.history?.events ?? []
    nextPageToken = page.nextPageToken
  } while (nextPageToken?.length)
}

function snapshotIn(payload: Payload): Snapshot {
  const value: unknown = defaultPayloadConverter.fromPayload(payload)
  if (!isSnapshot(value)) throw new Error('a projection in the history that is none')
  return value
}

/** It was written by a workflow of ours; this only tells it from anything else. */
const isSnapshot = (value: unknown): value is Snapshot =>
  isRecord(value) && Number.isSafeInteger(value['revision']) && Array.isArray(value['events'])
