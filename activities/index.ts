import type { Pool } from 'pg'
import { askForLook } from '../store/listen.ts'
import { createCancels } from './cancel.ts'
import { createClock } from './clock.ts'
import { createClusterActivities } from './cluster.ts'
import { createFindLaunch } from './find-launch.ts'
import { type FleetDeps, watchFleet } from './fleet.ts'
import { createLaunches, type LaunchDeps } from './launch.ts'
import { createLaunchGate } from './launch-gate.ts'
import { createOrphanActivities } from './orphans.ts'
import { createProjection } from './projection.ts'

export type { ClusterAnswer, ClusterLook } from './cluster.ts'
export type { LaunchOrder, LaunchOutcome, LaunchRequest } from './launch.ts'

export interface ActivityDeps extends Omit<FleetDeps, 'clock'>, Pick<LaunchDeps, 'fenceOf'> {
  /** The same tables for the look-out, which gives up soon: it must go on looking while they hang. */
  hastyDb: Pool
  /** So many launches does SkyPilot work on at a time. */
  launchesInFlight: number
}

export type Activities = ReturnType<typeof createActivities>

/** Every side effect of a workflow. Each may run twice, and says why that is harmless. */
export function createActivities(deps: ActivityDeps) {
  const { skypilot, db, fenceOf } = deps
  const look = (): Promise<void> => askForLook(deps.hastyDb)
  const clock = createClock()
  return {
    ...createLaunches({
      skypilot,
      find: createFindLaunch(skypilot),
      gate: createLaunchGate(skypilot, deps.launchesInFlight),
      fenceOf,
      askForLook: look,
    }),
    ...createCancels(skypilot),
    ...createClusterActivities(skypilot, clock),
    ...createOrphanActivities(skypilot, db),
    ...createProjection(db),
    watchFleet: (): Promise<void> => watchFleet({ ...deps, db: deps.hastyDb, clock }),

    /** Wakes the look-out wherever it runs. Safe to repeat: a second wish for a look is one look more. */
    askForLook: look,
  }
}
