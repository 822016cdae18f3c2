import { cancellationSignal } from '@temporalio/activity'
import type { Pool } from 'pg'
import { parseClusterName, parseJobName } from '../core/build-task.ts'
import type { ClusterObservation, Fact } from '../core/facts.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { isController } from '../skypilot/controllers.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import type { ClusterJobRecord } from '../skypilot/schemas.ts'
import { listLiveAttempts } from '../store/attempts.ts'
import { findByNames, listExpectedClusters } from '../store/fleet.ts'
import type { SilentQueue } from '../store/sources.ts'
import { clusterObservation } from './cluster.ts'
import { exitCodeOnCluster } from './exit-code.ts'
import type { FleetView } from './fleet-view.ts'
import { jobRows } from './job-rows.ts'
import { clipped, type JobsView, type QueueRow } from './jobs-view.ts'
import { noteOrphans } from './note-orphans.ts'

/** A row may become visible this long after the time that it carries. */
const WRITES_LATE_MS = 30_000

/** Cluster queues go over SSH, about 2 s each. */
const QUEUES_AT_ONCE = 4

const FIELDS = [
  'job_id',
  'task_id',
  'job_name',
  'status',
  'schedule_state',
  'details',
  'failure_reason',
  'submitted_at',
  'start_at',
  'end_at',
  'recovery_count',
]

interface Deps {
  skypilot: SkyPilot
  db: Pool
  log: (message: string, fields?: Record<string, unknown>) => void
  /** Called back after each question: a look of many slow ones gets on all the same. */
  onProgress: () => void
}

interface When {
  /** Compare everything afresh, and look for what belongs to nobody. */
  isAudit: boolean
  /** The tables may lack experiments that live: what those have is not nobody's. */
  areTablesBehind: boolean
  startedAtMs: number
}

const mayTellOrphans = ({ isAudit, areTablesBehind }: When): boolean => isAudit && !areTablesBehind

type News = Map<number, Fact[]>

/** What one look shows. */
export interface Sight {
  /** What changed, by experiment. */
  news: News
  /** What could not be seen. */
  error: string | null
  /** Clusters with a job that is waited for which do not tell of it; null: not even the clusters were seen. */
  silent: SilentQueue[] | null
}

/**
 * One look at everything: the managed queue, the clusters, and the queues of clusters on which something is waited
 * for.
 */
export async function look(deps: Deps, view: FleetView, when: When): Promise<Sight> {
  await expectNews(deps, view, when)
  const seenAtMs = when.startedAtMs
  const jobs = await half(managedRows(deps, view))
  deps.onProgress()
  const clusters = await half(clustersNow(deps, seenAtMs))
  deps.onProgress()
  if (jobs.error && clusters.error) throw jobs.error
  const rows = jobs.seen ?? []
  const owners = await ownersOf(deps, rows)
  const facts: Array<[number, Fact]> = jobs.seen
    ? view.managed.take({ rows, complete: isWhole(jobs), seenAtMs }, (name) => owners.get(name))
    : []
  let silent: SilentQueue[] | null = null
  if (clusters.seen) {
    const isComplete = isWhole(clusters)
    if (isComplete) view.forgetClustersBut(withMachines(clusters.seen))
    const seen = { clusters: clusters.seen, complete: isComplete, seenAtMs }
    facts.push(...view.clusters.take(seen, clusterOwner))
    const asked = await clusterJobs(deps, view, clusters.seen, seenAtMs)
    facts.push(...asked.facts)
    silent = [...asked.silent, ...unasked(view, clusters.seen)]
    if (mayTellOrphans(when) && isComplete && isWhole(jobs))
      await noteOrphans(deps, rows, clusters.seen, owners, seenAtMs)
  }
  return {
    news: byExperiment(facts),
    error: whatIsMissing('jobs', jobs) ?? whatIsMissing('clusters', clusters),
    silent,
  }
}

/** No job lives on a cluster that is stopped, and what is waited for there must not be missed when it is started again. */
const withMachines = (clusters: readonly ClusterObservation[]): Set<string> =>
  new Set(clusters.filter(({ status }) => status !== 'STOPPED').map(({ name }) => name))

/** The experiment whose name a cluster has. The id of a server, at the end of SkyPilot's own, is none of an experiment. */
const clusterOwner = (name: string): number | undefined =>
  isController(name) ? undefined : parseClusterName(name)?.experimentId

/** One of the two lists, or why it could not be had. That one fails blinds us for what is in it, and not for the other. */
interface Half<T> {
  seen: T[] | undefined
  /** Rows of it that could not be read: then nothing is concluded from absence. */
  unreadable: number
  error: SkyPilotError | undefined
}

const isWhole = ({ seen, unreadable }: Half<unknown>): boolean => seen !== undefined && unreadable === 0

async function half<T>(asking: Promise<{ read: T[]; unreadable: number }>): Promise<Half<T>> {
  try {
    const { read, unreadable } = await asking
    return { seen: read, unreadable, error: undefined }
  } catch (error) {
    cancellationSignal().throwIfAborted()
    if (!(error instanceof SkyPilotError)) throw error
    return { seen: undefined, unreadable: 0, error }
  }
}

function whatIsMissing(what: string, { unreadable, error }: Half<unknown>): string | null {
  if (error) return `the ${what} could not be seen: ${error.message}`
  return unreadable > 0 ? `${unreadable} of the ${what} could not be read` : null
}

function byExperiment(facts: ReadonlyArray<[number, Fact]>): News {
  const news: News = new Map()
  for (const [experimentId, fact] of facts) news.set(experimentId, [...(news.get(experimentId) ?? []), fact])
  return news
}

/**
 * Learns from the tables which jobs and clusters experiments wait for, so that one which began and ended between two
 * looks is asked for by its id. Without the tables everything live is still seen; only such short ones are told later.
 */
async function expectNews({ db, log }: Deps, view: FleetView, when: When): Promise<void> {
  try {
    const startedAtMs = performance.now()
    const withinMs =
      when.isAudit || view.readAtMs === null ? null : startedAtMs - view.readAtMs + WRITES_LATE_MS
    const shown = await listLiveAttempts(db, withinMs)
    if (withinMs === null) view.audit(shown)
    else for (const { clusterName, status: _status, ...job } of shown) view.queueOf(clusterName).track(job)
    view.clusters.expect(await listExpectedClusters(db), withinMs === null)
    view.readAtMs = startedAtMs
  } catch (error) {
    log('reading what is expected failed', { reason: String(error) })
  }
}

/** The live jobs, and those that were live and are not in that list any more, by their ids. */
async function managedRows(
  { skypilot }: Deps,
  view: FleetView,
): Promise<{ read: QueueRow[]; unreadable: number }> {
  const signal = cancellationSignal()
  const live = await skypilot.jobs.queue({ skipFinished: true, fields: FIELDS, signal })
  const gone = view.managed.notIn(live.jobs)
  if (gone.length === 0) return { read: jobRows(live.jobs).map(clipped), unreadable: live.unreadable }
  const ended = await skypilot.jobs.queue({ jobIds: gone, fields: FIELDS, signal })
  return {
    read: jobRows([...live.jobs, ...ended.jobs]).map(clipped),
    unreadable: live.unreadable + ended.unreadable,
  }
}

async function clustersNow(
  { skypilot }: Deps,
  seenAtMs: number,
): Promise<{ read: ClusterObservation[]; unreadable: number }> {
  const { clusters, unreadable } = await skypilot.clusters.status({ signal: cancellationSignal() })
  return { read: clusters.map((record) => clusterObservation(record, seenAtMs)), unreadable }
}

async function clusterJobs(
  deps: Deps,
  view: FleetView,
  clusters: readonly ClusterObservation[],
  seenAtMs: number,
): Promise<{ facts: Array<[number, Fact]>; silent: SilentQueue[] }> {
  const up = new Set(clusters.filter(({ status }) => status === 'UP').map(({ name }) => name))
  const waiting = view.clustersAtWork().filter((name) => up.has(name))
  const facts: Array<[number, Fact]> = []
  const silent: SilentQueue[] = []
  const asker = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const { news, error } = await jobsOn(deps, view.on(name), name, seenAtMs)
      facts.push(...news)
      if (error !== null) silent.push({ clusterName: name, wholeAtMs: view.on(name).wholeAtMs, error })
      deps.onProgress()
    }
  }
  await Promise.all(Array.from({ length: QUEUES_AT_ONCE }, asker))
  return { facts, silent }
}

/**
 * Clusters on which the end of a job is waited for, and which are in no state to be asked: in the making, broken, or in
 * a row that cannot be read. On one that is stopped no job lives, and of one that is gone nothing is waited for.
 */
function unasked(view: FleetView, clusters: readonly ClusterObservation[]): SilentQueue[] {
  const statuses = new Map(clusters.map(({ name, status }) => [name, status]))
  return view.clustersAtWork().flatMap((clusterName) => {
    const status = statuses.get(clusterName)
    if (status === 'UP' || status === 'STOPPED') return []
    const error = status === undefined ? 'the cluster could not be read' : `the cluster is ${status}`
    return [{ clusterName, wholeAtMs: view.on(clusterName).wholeAtMs, error }]
  })
}

/** A cluster that cannot be asked now is asked again at the next look; its silence says nothing. */
async function jobsOn(
  { skypilot, log }: Deps,
  view: JobsView,
  name: string,
  seenAtMs: number,
): Promise<{ news: Array<[number, Fact]>; error: string | null }> {
  try {
    const { jobs, unreadable } = await skypilot.clusters.queue({ name, signal: cancellationSignal() })
    const rows = await Promise.all(jobs.map((job) => rowOf(skypilot, view, name, job)))
    return {
      news: view.take({ rows, complete: unreadable === 0, seenAtMs }, () => undefined),
      error: unreadable === 0 ? null : `${unreadable} of its jobs could not be read`,
    }
  } catch (error) {
    cancellationSignal().throwIfAborted()
    if (!(error instanceof SkyPilotError)) throw error
    log('the jobs of a cluster could not be seen', { cluster: name, reason: error.message })
    return { news: [], error: error.message }
  }
}

/** A cluster's queue says less than the managed one; the exit code of a failure that is waited for is in its log. */
async function rowOf(
  skypilot: SkyPilot,
  view: JobsView,
  clusterName: string,
  { jobId, jobName, status, submittedAtMs, startAtMs, endAtMs }: ClusterJobRecord,
): Promise<QueueRow> {
  const isNews = status === 'FAILED' && view.isWaitingFor(jobId)
  const signal = cancellationSignal()
  const exitCode = isNews ? await exitCodeOnCluster(skypilot, { name: clusterName, jobId, signal }) : null
  return clipped({
    jobId,
    jobName,
    status,
    submittedAtMs,
    startAtMs,
    endAtMs,
    scheduleState: null,
    recoveryCount: 0,
    failureReason: exitCode === null ? null : `Job exited with exit code ${exitCode}`,
    details: null,
  })
}

/** Experiments whose very name a job has that carries no identity of ours. Asked for only where there are such jobs. */
async function ownersOf({ db, log }: Deps, rows: readonly QueueRow[]): Promise<ReadonlyMap<string, number>> {
  const names = [...new Set(rows.map(({ jobName }) => jobName))].filter((name) => !parseJobName(name))
  if (names.length === 0) return new Map()
  try {
    return await findByNames(db, names)
  } catch (error) {
    log('reading the names of experiments failed', { reason: String(error) })
    return new Map()
  }
}
