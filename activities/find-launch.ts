import { cancellationSignal } from '@temporalio/activity'
import { isRecord } from '../core/spec.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'

export type Found =
  | { kind: 'requested'; requestId: string }
  | { kind: 'found'; jobId: number }
  /** Its cluster is being made, and none of the requests that SkyPilot knows of does that. */
  | { kind: 'making' }
  | { kind: 'empty' }

export type FindLaunch = (launch: { name: string; clusterName: string | null }) => Promise<Found>

/** Nothing is being made on a cluster whose machines are stopped, or stop. */
const AT_REST: ReadonlySet<string> = new Set(['STOPPED', 'AUTOSTOPPING'])

/**
 * Looks for a launch by the name of its job, in the order in which it moves: requests in flight first, then the
 * table that lasts (the managed queue, or the cluster's).
 * @throws SkyPilotError when it could not be found out, which is never the same as "there is none"
 */
export function createFindLaunch(skypilot: SkyPilot): FindLaunch {
  const signal = (): { signal: AbortSignal } => ({ signal: cancellationSignal() })
  const fields = ['request_id', 'name', 'status', 'request_body']

  async function managed(name: string): Promise<Found> {
    const active = await skypilot.requests.list({ fields, ...signal() })
    const request = active.find(
      (each) => each.name === 'sky.jobs.launch' && isRecord(each.body) && each.body['name'] === name,
    )
    if (request) return { kind: 'requested', requestId: request.requestId }
    const { jobs, unreadable } = await skypilot.jobs.queue({
      nameMatch: name,
      fields: ['job_id', 'job_name', 'status'],
      ...signal(),
    })
    const ours = jobs.filter((job) => job.jobName === name)
    const best = ours.find((job) => !isTerminalManaged(job.status)) ?? ours[0]
    return best ? { kind: 'found', jobId: best.jobId } : nothing(unreadable)
  }

  async function onCluster(name: string, clusterName: string): Promise<Found> {
    const active = await skypilot.requests.list({ fields, clusterName, ...signal() })
    const request = active.find(
      (each) => (each.name === 'sky.launch' || each.name === 'sky.exec') && names(each.body, name),
    )
    if (request) return { kind: 'requested', requestId: request.requestId }
    const { clusters } = await skypilot.clusters.status({ names: [clusterName], ...signal() })
    const cluster = clusters.find((each) => each.name === clusterName)
    if (!cluster || AT_REST.has(cluster.status)) return { kind: 'empty' }
    return cluster.status === 'UP' ? inQueue(name, clusterName) : { kind: 'making' }
  }

  async function inQueue(name: string, clusterName: string): Promise<Found> {
    try {
      const { jobs, unreadable } = await skypilot.clusters.queue({ name: clusterName, ...signal() })
      // Of several the oldest is kept: the others are cancelled when the fleet sees them.
      const oldest = jobs.filter((job) => job.jobName === name).toSorted((a, b) => a.jobId - b.jobId)[0]
      return oldest ? { kind: 'found', jobId: oldest.jobId } : nothing(unreadable)
    } catch (error) {
      const exceptionName = error instanceof SkyPilotError ? error.exceptionName : null
      if (exceptionName === 'ClusterDoesNotExist') return { kind: 'empty' }
      // Not so far that it could have jobs.
      if (exceptionName === 'ClusterNotUpError') return { kind: 'making' }
      throw error
    }
  }

  return ({ name, clusterName }) => (clusterName === null ? managed(name) : onCluster(name, clusterName))
}

/** Rows that could not be read may be the one. */
function nothing(unreadable: number): Found {
  if (unreadable > 0) throw new SkyPilotError('protocol', `${unreadable} jobs of the queue could not be read`)
  return { kind: 'empty' }
}

/** Our tasks are written as JSON, and their name is the job's. */
function names(body: unknown, name: string): boolean {
  const task = isRecord(body) ? body['task'] : undefined
  return typeof task === 'string' && task.includes(`"name": ${JSON.stringify(name)}`)
}
