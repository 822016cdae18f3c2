import type { Pool } from 'pg'
import { parseClusterName, parseJobName } from '../core/build-task.ts'
import type { ClusterObservation } from '../core/facts.ts'
import { isCleanedUp } from '../core/job-status.ts'
import { isController } from '../skypilot/controllers.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import { knownExperiments, listExpectedClusters, seeOrphans } from '../store/fleet.ts'
import type { QueueRow } from './jobs-view.ts'

/** A cluster of an experiment is in the tables by then; another that only has such a name is nobody's. */
const TABLES_LATE_MS = 600_000

interface Deps {
  db: Pool
  log: (message: string, fields?: Record<string, unknown>) => void
}

/** Writes down what lives and belongs to no experiment, for people to adopt or to end. SkyPilot's own is not among it. */
export async function noteOrphans(
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
    const isNew = ({ launchedAtMs }: ClusterObservation): boolean =>
      launchedAtMs !== null && atMs - launchedAtMs < TABLES_LATE_MS
    const orphanClusters = clusters.filter(
      (cluster) =>
        !owned.has(cluster.name) &&
        !isController(cluster.name) &&
        !(isNew(cluster) && isOwned(parseClusterName(cluster.name))),
    )
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
