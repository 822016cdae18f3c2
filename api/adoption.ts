import type { Pool } from 'pg'
import type { Adoption } from '../sdk/experiments.ts'
import { isController } from '../skypilot/controllers.ts'
import { listOrphans, type OrphanKind, type OrphanRow } from '../store/fleet.ts'
import { closeOrphan, ownerOf } from '../store/orphans.ts'
import { Problem } from './problem.ts'

export interface AdoptInput {
  job_id?: number | undefined
  job_name?: string | undefined
  cluster_name?: string | undefined
}

/**
 * What an experiment takes in. The name of a managed job may be left out where the job is a known orphan.
 * @throws Problem 409 for what another experiment has, 422 for a job without a name or with one that is not its own
 */
export async function adoptionOf(db: Pool, experimentId: number, input: AdoptInput): Promise<Adoption> {
  const { job_id: jobId, cluster_name: clusterName } = input
  await refuseOwned(db, experimentId, input)
  const cluster = clusterName === undefined ? {} : { clusterName }
  if (jobId === undefined) return cluster
  const known = clusterName === undefined ? await nameOfOrphan(db, jobId) : undefined
  const jobName = input.job_name ?? known
  if (jobName === undefined) throw isMisnamed(`say what job ${jobId} is called`)
  if (known !== undefined && jobName !== known)
    throw isMisnamed(
      `job ${jobId} is called ${known}, not ${jobName}; leave the name out to take it as it is`,
    )
  return { jobId, jobName, ...cluster }
}

const isMisnamed = (why: string): Problem =>
  new Problem(422, `job_name: ${why}`, [
    { field: 'job_name', message: 'the name of the job, exactly as SkyPilot shows it' },
  ])

/** What SkyPilot calls the thing that an adoption is about: a job on a cluster comes with its cluster. */
const adoptedOf = ({ job_id: jobId, cluster_name: clusterName }: AdoptInput): [OrphanKind, string] =>
  clusterName === undefined ? ['job', String(jobId)] : ['cluster', clusterName]

/** Two experiments that believe in one job would each do as they are told with it. */
async function refuseOwned(db: Pool, experimentId: number, input: AdoptInput): Promise<void> {
  const [kind, key] = adoptedOf(input)
  if (kind === 'cluster' && isController(key)) throw isSkyPilots(key)
  const owner = await ownerOf(db, kind, key)
  if (owner && owner.id !== experimentId) throw isOwned(kind, key, owner)
}

const isOwned = (kind: OrphanKind, key: string, { id, name }: { id: number; name: string }): Problem =>
  new Problem(409, `${kind} ${key} belongs to experiment ${id} (${name})`)

const isSkyPilots = (name: string): Problem =>
  new Problem(409, `cluster ${name} is SkyPilot's own: it looks after all managed jobs or services`)

/** What was taken in belongs to somebody from now on, whatever the last look at SkyPilot said. */
export const noteAdopted = (db: Pool, input: AdoptInput): Promise<void> =>
  closeOrphan(db, ...adoptedOf(input))

const nameOfOrphan = async (db: Pool, jobId: number): Promise<string | undefined> =>
  (await listOrphans(db)).find(({ kind, key }) => kind === 'job' && key === String(jobId))?.name

/**
 * An orphan that may be ended. The list of them is as old as the last look, so it is asked anew whether it is nobody's.
 * @throws Problem 404, or 409 for what an experiment has by now and for what SkyPilot itself needs
 */
export async function findOrphan(db: Pool, kind: string, key: string): Promise<OrphanRow> {
  const orphan = (await listOrphans(db)).find((each) => each.kind === kind && each.key === key)
  if (!orphan) throw new Problem(404, `there is no ${kind} ${key} that belongs to nobody`)
  if (orphan.kind === 'cluster' && isController(key)) throw isSkyPilots(key)
  const owner = await ownerOf(db, orphan.kind, key)
  if (owner) throw isOwned(orphan.kind, key, owner)
  return orphan
}
