import { cancellationSignal } from '@temporalio/activity'
import { isRecord } from '../core/spec.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'

export type Found =
  | { kind: 'requested'; requestId: string }
  | { kind: 'found'; jobId: number }
  /** Its cluster is being made: by a request that is not of this launch, or by none that SkyPilot knows of. */
  | { kind: 'making'; byRequest: boolean }
  | { kind: 'empty' }

export type FindLaunch = (launch: { name: string; clusterName: string | null }) => Promise<Found>

/** Requests that bring a cluster, or a job on it, into being. */
const MAKERS: ReadonlySet<string> = new Set(['sky.launch', 'sky.start', 'sky.exec'])

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
    if (active.some((each) => MAKERS.has(each.name))) return { kind: 'making', byRequest: true }
    const status = await statusOf(clusterName)
    if (status === null || AT_REST.has(status)) return { kind: 'empty' }
    return status === 'UP' ? inQueue(name, clusterName) : { kind: 'making', byRequest: false }
  }

  /**
   * Where the server died that was making a cluster, SkyPilot goes on saying INIT: that the machines are ready, or gone,
   * it learns when it is told to ask for them. While somebody is at it, it waits for some seconds and says INIT again.
   */
  async function statusOf(name: string): Promise<string | null> {
    const status = await statusBy('NONE', name)
    if (status !== 'INIT') return status
    try {
      return await statusBy('FORCE', name)
    } catch (error) {
      // It waits among the launches there, and may come to nothing as long as they take.
      if (error instanceof SkyPilotError && error.kind === 'timeout') return status
      throw error
    }
  }

  async function statusBy(refresh: 'NONE' | 'FORCE', name: string): Promise<string | null> {
    const { clusters } = await skypilot.clusters.status({ names: [name], refresh, ...signal() })
    return clusters.find((cluster) => cluster.name === name)?.status ?? null
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
      if (exceptionName === 'ClusterNotUpError') return { kind: 'making', byRequest: false }
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
