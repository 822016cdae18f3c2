import { cancellationSignal } from '@temporalio/activity'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import type { ClusterRecord } from '../skypilot/schemas.ts'

/** A question ends with the activity that asks it. */
export const signal = (): { signal: AbortSignal } => ({ signal: cancellationSignal() })

/** Requests that may bring a cluster, or a job on it, into being. */
export const MAKERS: ReadonlySet<string> = new Set(['sky.launch', 'sky.start', 'sky.exec'])

/** Is there no such cluster? Then nothing is left of it that could be ended. */
export const saysGone = (error: unknown): boolean => isNamed(error, 'ClusterDoesNotExist')

/** Is the cluster not so far, or stopped, that it could be asked? */
export const saysNotUp = (error: unknown): boolean => isNamed(error, 'ClusterNotUpError')

/** Does SkyPilot have no address of its machines (check_cluster_available)? Then no job can have come to it. */
export const saysNotSetUp = (error: unknown): boolean =>
  saysNotUp(error) && error instanceof Error && error.message.includes('not properly set up')

/** Would this cloud never do it, whenever it is asked? Whatever else failed may do better next time. */
export const saysNotSupported = (error: unknown): boolean => isNamed(error, 'NotSupportedError')

const isNamed = (error: unknown, exceptionName: string): boolean =>
  error instanceof SkyPilotError && error.kind === 'rejected' && error.exceptionName === exceptionName

/** Ends something on a cluster. That there is no such cluster means that it has ended. */
export async function orGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!saysGone(error)) throw error
  }
}

/**
 * One cluster as SkyPilot lists it now; undefined where there is none.
 * @throws SkyPilotError `protocol` where it is not among those that could be read, and others could not
 */
export async function clusterNow(
  { clusters: sky }: SkyPilot,
  name: string,
  refresh: 'NONE' | 'FORCE' = 'NONE',
): Promise<ClusterRecord | undefined> {
  const { clusters, unreadable } = await sky.status({ names: [name], refresh, ...signal() })
  const cluster = clusters.find((each) => each.name === name)
  if (!cluster) mustBeWhole(unreadable, 'clusters')
  return cluster
}

/** @throws SkyPilotError `protocol` where a list is not whole: the row that is looked for may be one that was not read */
export function mustBeWhole(unreadable: number, what: string): void {
  if (unreadable > 0) throw new SkyPilotError('protocol', `${unreadable} ${what} could not be read`)
}
