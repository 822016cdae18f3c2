import { isRecord } from '../core/spec.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import type { ClusterRecord } from '../skypilot/schemas.ts'
import { isTerminalManaged } from '../skypilot/statuses.ts'
import { clusterNow, MAKERS, mustBeWhole, saysGone, saysNotSetUp, saysNotUp, signal } from './asking.ts'

export type Found =
  | { kind: 'requested'; requestId: string }
  | { kind: 'found'; jobId: number }
  /** Its cluster is being made: by a request that is not of this launch, or by none that SkyPilot knows of. */
  | { kind: 'making'; byRequest: boolean }
  | { kind: 'empty' }

export type FindLaunch = (launch: { name: string; clusterName: string | null }) => Promise<Found>

const MAKING: Found = { kind: 'making', byRequest: false }

/** What one look at a cluster tells. `bare`: it is up, and no job can have come to it. */
type Looked = Found | { kind: 'bare' }

const isUnfinished = ({ kind }: Looked): boolean => kind === 'making' || kind === 'bare'

/** Nothing is being made on a cluster whose machines are stopped, or stop. */
const AT_REST: ReadonlySet<string> = new Set(['STOPPED', 'AUTOSTOPPING'])

const FIELDS = ['request_id', 'name', 'status', 'request_body']

/**
 * Looks for a launch by the name of its job, in the order in which it moves: requests in flight first, then the
 * table that lasts (the managed queue, or the cluster's).
 * @throws SkyPilotError when it could not be found out, which is never the same as "there is none"
 */
export function createFindLaunch(skypilot: SkyPilot): FindLaunch {
  const onCluster = finderOnClusters(skypilot)
  return ({ name, clusterName }) =>
    clusterName === null ? findManaged(skypilot, name) : onCluster(name, clusterName)
}

async function findManaged({ requests, jobs: managed }: SkyPilot, name: string): Promise<Found> {
  const active = await requests.list({ fields: FIELDS, ...signal() })
  const request = active.find(
    (each) => each.name === 'sky.jobs.launch' && isRecord(each.body) && each.body['name'] === name,
  )
  if (request) return { kind: 'requested', requestId: request.requestId }
  const { jobs, unreadable } = await managed.queue({
    nameMatch: name,
    fields: ['job_id', 'job_name', 'status'],
    ...signal(),
  })
  const ours = jobs.filter((job) => job.jobName === name)
  const best = ours.find((job) => !isTerminalManaged(job.status)) ?? ours[0]
  return best ? { kind: 'found', jobId: best.jobId } : nothing(unreadable)
}

function finderOnClusters(skypilot: SkyPilot) {
  const { requests, clusters: sky } = skypilot

  return async function onCluster(name: string, clusterName: string): Promise<Found> {
    const active = await requests.list({ fields: FIELDS, clusterName, ...signal() })
    const request = active.find(
      (each) => (each.name === 'sky.launch' || each.name === 'sky.exec') && names(each.body, name),
    )
    if (request) return { kind: 'requested', requestId: request.requestId }
    if (active.some((each) => MAKERS.has(each.name))) return { kind: 'making', byRequest: true }
    const seen = await clusterNow(skypilot, clusterName)
    const found = await foundOn(seen, name)
    if (!isUnfinished(found)) return settled(found)
    const asked = await askMachines(clusterName)
    if (asked === 'no answer') return MAKING
    const foundNow = await foundOn(asked, name)
    const isNew = foundNow.kind === 'bare' || seen?.everUp === false
    return isUnfinished(foundNow) && isNew && isWrittenAnew(seen, asked)
      ? { kind: 'empty' }
      : settled(foundNow)
  }

  async function foundOn(cluster: ClusterRecord | undefined, name: string): Promise<Looked> {
    if (!cluster || AT_REST.has(cluster.status)) return { kind: 'empty' }
    return cluster.status === 'UP' ? inQueue(name, cluster.name) : MAKING
  }

  /** It waits among the launches there, and may come to nothing as long as they take. */
  async function askMachines(clusterName: string): Promise<ClusterRecord | undefined | 'no answer'> {
    try {
      return await clusterNow(skypilot, clusterName, 'FORCE')
    } catch (error) {
      if (error instanceof SkyPilotError && error.kind === 'timeout') return 'no answer'
      throw error
    }
  }

  async function inQueue(name: string, clusterName: string): Promise<Looked> {
    try {
      const { jobs, unreadable } = await sky.queue({ name: clusterName, ...signal() })
      // Of several the oldest is kept: the others are cancelled when the fleet sees them.
      const oldest = jobs.filter((job) => job.jobName === name).toSorted((a, b) => a.jobId - b.jobId)[0]
      return oldest ? { kind: 'found', jobId: oldest.jobId } : nothing(unreadable)
    } catch (error) {
      if (saysGone(error)) return { kind: 'empty' }
      if (saysNotSetUp(error)) return { kind: 'bare' }
      // Not so far that it could have jobs.
      if (saysNotUp(error)) return MAKING
      throw error
    }
  }
}

const settled = (looked: Looked): Found => (looked.kind === 'bare' ? MAKING : looked)

/**
 * SkyPilot asks the machines themselves only where it gets the lock that whoever makes a cluster holds all the time.
 * So a row that was written anew says that nobody is at it: its maker has died, and left it as it is. One that was ready
 * for jobs before may have them all the same: it is broken, or cannot be reached. That it was up once is no sign of that
 * by itself, for SkyPilot also calls up what it finds running when it looks around.
 */
const isWrittenAnew = (before: ClusterRecord | undefined, after: ClusterRecord | undefined): boolean =>
  (after?.statusUpdatedAtMs ?? 0) > (before?.statusUpdatedAtMs ?? 0)

/** Rows that could not be read may be the one. */
function nothing(unreadable: number): Found {
  mustBeWhole(unreadable, 'jobs of the queue')
  return { kind: 'empty' }
}

/** Our tasks are written as JSON, and their name is the job's. */
function names(body: unknown, name: string): boolean {
  const task = isRecord(body) ? body['task'] : undefined
  return typeof task === 'string' && task.includes(`"name": ${JSON.stringify(name)}`)
}
