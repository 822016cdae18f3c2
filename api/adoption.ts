import type { Pool } from 'pg'
import type { Adoption } from '../sdk/experiments.ts'
import { getAttemptByJob } from '../store/attempts.ts'
import { listExpectedClusters, listOrphans, type OrphanRow } from '../store/fleet.ts'
import { Problem } from './problem.ts'

export interface AdoptInput {
  job_id?: number | undefined
  job_name?: string | undefined
  cluster_name?: string | undefined
}

/**
 * What an experiment takes in. The name of a managed job may be left out where the job is a known orphan.
 * @throws Problem 409 for what another experiment has, 422 for a job without a name
 */
export async function adoptionOf(db: Pool, experimentId: number, input: AdoptInput): Promise<Adoption> {
  const { job_id: jobId, cluster_name: clusterName } = input
  await refuseOwned(db, experimentId, input)
  const cluster = clusterName === undefined ? {} : { clusterName }
  if (jobId === undefined) return cluster
  const jobName = input.job_name ?? (clusterName === undefined ? await nameOfOrphan(db, jobId) : undefined)
  if (jobName === undefined)
    throw new Problem(422, `job_name: say what job ${jobId} is called`, [
      { field: 'job_name', message: 'the name of the job, exactly as SkyPilot shows it' },
    ])
  return { jobId, jobName, ...cluster }
}

/** Two experiments that believe in one job would each do as they are told with it. */
async function refuseOwned(db: Pool, experimentId: number, input: AdoptInput): Promise<void> {
  const { job_id: jobId, cluster_name: clusterName } = input
  if (clusterName !== undefined) {
    const owner = (await listExpectedClusters(db)).find((each) => each.clusterName === clusterName)
    if (owner && owner.experimentId !== experimentId)
      throw new Problem(409, `cluster ${clusterName} belongs to experiment ${owner.experimentId}`)
  } else if (jobId !== undefined) {
    const attempt = await getAttemptByJob(db, jobId)
    if (attempt?.phase === 'active' && attempt.experimentId !== experimentId)
      throw new Problem(409, `job ${jobId} belongs to experiment ${attempt.experimentId}`)
  }
}

const nameOfOrphan = async (db: Pool, jobId: number): Promise<string | undefined> =>
  (await listOrphans(db)).find(({ kind, key }) => kind === 'job' && key === String(jobId))?.name

/** @throws Problem 404 */
export async function findOrphan(db: Pool, kind: string, key: string): Promise<OrphanRow> {
  const orphan = (await listOrphans(db)).find((each) => each.kind === kind && each.key === key)
  if (!orphan) throw new Problem(404, `there is no ${kind} ${key} that belongs to nobody`)
  return orphan
}
