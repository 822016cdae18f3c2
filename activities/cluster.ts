import type { ClusterVerb } from '../core/experiment.ts'
import type { ClusterObservation } from '../core/facts.ts'
import type { SkyPilot } from '../skypilot/client.ts'
import { SkyPilotError } from '../skypilot/errors.ts'
import type { ClusterRecord } from '../skypilot/schemas.ts'
import { clusterNow, MAKERS, orGone, saysNotSupported, signal } from './asking.ts'
import type { Clock } from './clock.ts'
import { withSkyPilot } from './with-skypilot.ts'

/** What one complete look at the clusters showed of one. `busy`: a request for it is under way. */
export type ClusterLook =
  | { kind: 'seen'; cluster: ClusterObservation }
  | { kind: 'absent'; seenAtMs: number }
  | { kind: 'busy' }

export interface ClusterAnswer {
  /** Why SkyPilot will not do it; null when it did. */
  refusal: string | null
  askedAtMs: number
  look: ClusterLook
}

export const clusterObservation = (record: ClusterRecord, seenAtMs: number): ClusterObservation => ({
  name: record.name.slice(0, 300),
  status: record.status.slice(0, 100),
  reason: record.statusReason?.slice(0, 500) ?? null,
  launchedAtMs: record.launchedAtMs,
  autostopMinutes: record.autostopMinutes,
  seenAtMs,
})

export function createClusterActivities(skypilot: SkyPilot, clock: Clock) {
  async function look(name: string): Promise<ClusterLook> {
    const seenAtMs = clock.nowMs()
    const fields = ['request_id', 'name', 'status']
    const active = await skypilot.requests.list({ clusterName: name, fields, ...signal() })
    const record = await clusterNow(skypilot, name)
    if (record) return { kind: 'seen', cluster: clusterObservation(record, seenAtMs) }
    return active.some((request) => MAKERS.has(request.name))
      ? { kind: 'busy' }
      : { kind: 'absent', seenAtMs }
  }

  /**
   * Gives SkyPilot's reason where the cloud cannot do it at all: that is an answer. Work that failed may do better next
   * time, and that a cluster is not there means that there is nothing left to be done to it.
   */
  async function refusalOf(work: () => Promise<unknown>): Promise<string | null> {
    try {
      await orGone(work)
      return null
    } catch (error) {
      if (error instanceof SkyPilotError && saysNotSupported(error)) return error.message
      throw error
    }
  }

  return {
    /**
     * Starts, stops or takes down a cluster, waits until that is done, and looks at what came of it. Safe to repeat:
     * SkyPilot does nothing to a cluster that is so already.
     */
    changeCluster: ({ verb, name }: { verb: ClusterVerb; name: string }): Promise<ClusterAnswer> =>
      withSkyPilot(async () => {
        const refusal = await refusalOf(async () => {
          const handle = await skypilot.clusters[verb]({ name, ...signal() })
          await handle.result({ ...signal() })
        })
        const askedAtMs = clock.nowMs()
        return { refusal, askedAtMs, look: await look(name) }
      }),

    /** Sets when the cluster stops itself; gives SkyPilot's refusal, or null. Safe to repeat. */
    setAutostop: ({ name, minutes }: { name: string; minutes: number | null }): Promise<string | null> =>
      withSkyPilot(() =>
        refusalOf(async () => {
          const handle = await skypilot.clusters.autostop({ name, idleMinutes: minutes ?? -1, ...signal() })
          await handle.result({ ...signal() })
        }),
      ),

    /** Looks at one cluster, and at what is under way for it. Only asks. */
    lookAtCluster: (name: string): Promise<ClusterLook> => withSkyPilot(() => look(name)),
  }
}
