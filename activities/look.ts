import { cancellationSignal } from '@temporalio/activity'
import type { Pool } from 'pg'
import { parseClusterName, parseJobName } from '../core/build-task.ts'
import type { ClusterObservation, Fact } from '../core/facts.ts'
import { isCleanedUp } from '../core/job-status.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import type { ClusterJobRecord } from '../skypilot/schemas.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import { listLiveAttempts } from '../store/attempts.ts'
import { findByNames, knownExperiments, listExpectedClusters, seeOrphans } from '../store/fleet.ts'
import { clusterObservation } from './cluster.ts'
import { exitCodeOnCluster } from './exit-code.ts'
import type { FleetView } from './fleet-view.ts'
import { clipped, type JobsView, type OwnerOf, type QueueRow } from './jobs-view.ts'

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
}

interface When {
  /** Compare everything afresh, and look for what belongs to nobody. */
  isAudit: boolean
  startedAtMs: number
}

type News = Map<number, Fact[]>

/**
 * One look at everything: the managed queue, the clusters, and the queues of clusters on which something is waited
 * for. Gives what changed, by experiment, and what could not be seen.
 */
export async function look(
  deps: Deps,
  view: FleetView,
  when: When,
): Promise<{ news: News; error: string | null }> {
  await expectNews(deps, view, when)
  const rows = await managedRows(deps, view)
  const clusters = await clustersNow(deps, when.startedAtMs)
  const owners = await ownersOf(deps, rows.read)
  const ownerOf: OwnerOf = (name) => owners.get(name)
  const facts = view.managed.take(
    { rows: rows.read, complete: rows.unreadable === 0, seenAtMs: when.startedAtMs },
    ownerOf,
  )
  if (clusters) {
    view.forgetClustersBut(new Set(clusters.map(({ name }) => name)))
    facts.push(
      ...view.clusters.take(clusters, when.startedAtMs, (name) => parseClusterName(name)?.experimentId),
    )
    facts.push(...(await clusterJobs(deps, view, clusters, when.startedAtMs)))
  }
  if (when.isAudit && clusters) await noteOrphans(deps, rows.read, clusters, owners, when.startedAtMs)
  return { news: byExperiment(facts), error: whatIsMissing(rows.unreadable, clusters) }
}

function whatIsMissing(
  unreadable: number,
  clusters: readonly ClusterObservation[] | undefined,
): string | null {
  if (unreadable > 0) return `${unreadable} jobs of the queue could not be read`
  return clusters ? null : 'some clusters could not be read'
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
    for (const { clusterName, status, ...job } of await listLiveAttempts(db, withinMs)) {
      const queue = view.queueOf(clusterName)
      if (withinMs === null) queue.audit(job, status)
      else queue.track(job)
    }
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
  if (gone.length === 0) return { read: live.jobs.map(clipped), unreadable: live.unreadable }
  const ended = await skypilot.jobs.queue({ jobIds: gone, fields: FIELDS, signal })
  return {
    read: [...live.jobs, ...ended.jobs].map(clipped),
    unreadable: live.unreadable + ended.unreadable,
  }
}

/** All clusters. Undefined where a row could not be read: then nothing is concluded from absence. */
async function clustersNow({ skypilot }: Deps, seenAtMs: number): Promise<ClusterObservation[] | undefined> {
  const { clusters, unreadable } = await skypilot.clusters.status({ signal: cancellationSignal() })
  return unreadable > 0 ? undefined : clusters.map((record) => clusterObservation(record, seenAtMs))
}

async function clusterJobs(
  deps: Deps,
  view: FleetView,
  clusters: readonly ClusterObservation[],
  seenAtMs: number,
): Promise<Array<[number, Fact]>> {
  const up = new Set(clusters.filter(({ status }) => status === 'UP').map(({ name }) => name))
  const waiting = view.clustersAtWork().filter((name) => up.has(name))
  const facts: Array<[number, Fact]> = []
  const asker = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
      facts.push(...(await jobsOn(deps, view, name, seenAtMs)))
  }
  await Promise.all(Array.from({ length: QUEUES_AT_ONCE }, asker))
  return facts
}

/** A cluster that cannot be asked now is asked again at the next look; its silence says nothing. */
async function jobsOn(
  { skypilot, log }: Deps,
  view: FleetView,
  name: string,
  seenAtMs: number,
): Promise<Array<[number, Fact]>> {
  try {
    const { jobs, unreadable } = await skypilot.clusters.queue({ name, signal: cancellationSignal() })
    const rows = await Promise.all(jobs.map((job) => rowOf(skypilot, view.on(name), name, job)))
    return view.on(name).take({ rows, complete: unreadable === 0, seenAtMs }, () => undefined)
  } catch (error) {
    cancellationSignal().throwIfAborted()
    if (!(error instanceof SkyPilotError)) throw error
    log('the jobs of a cluster could not be seen', { cluster: name, reason: error.message })
    return []
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

/** Writes down what lives and belongs to no experiment, for people to adopt or to end. */
async function noteOrphans(
  { db, log }: Deps,
  rows: readonly QueueRow[],
  clusters: readonly ClusterObservation[],
  owners: ReadonlyMap<string, number>,
  atMs: number,
): Promise<void> {
  try {
    const jobs = rows.filter(
      ({ scheduleState, status, jobName }) =>
        !(isTerminalManaged(status) && isCleanedUp(scheduleState)) && !owners.has(jobName),
    )
    const ids = [
      ...jobs.map(({ jobName }) => parseJobName(jobName)?.experimentId),
      ...clusters.map(({ name }) => parseClusterName(name)?.experimentId),
    ].filter((id) => id !== undefined)
    const [known, expected] = await Promise.all([knownExperiments(db, ids), listExpectedClusters(db)])
    const owned = new Set(expected.map(({ clusterName }) => clusterName))
    const isOwned = (identity: { experimentId: number } | undefined): boolean =>
      identity !== undefined && known.has(identity.experimentId)
    const orphanJobs = jobs.filter(({ jobName }) => !isOwned(parseJobName(jobName)))
    const orphanClusters = clusters.filter(({ name }) => !owned.has(name) && !isOwned(parseClusterName(name)))
    await seeOrphans(
      db,
      'job',
      orphanJobs.map(({ jobId, jobName: name, status, details: detail }) => ({
        key: String(jobId),
        name,
        status,
        detail,
      })),
      atMs,
    )
    await seeOrphans(
      db,
      'cluster',
      orphanClusters.map(({ name, status, reason: detail }) => ({ key: name, name, status, detail })),
      atMs,
    )
  } catch (error) {
    log('noting what belongs to nobody failed', { reason: String(error) })
  }
}
