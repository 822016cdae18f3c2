import { askForLook } from '../store/listen.ts'
import { type FleetDeps, watchFleet } from './fleet.ts'
import { createLaunches } from './launch.ts'
import { createProjection } from './projection.ts'

export type { LaunchOutcome } from './launch.ts'

export type ActivityDeps = FleetDeps

export type Activities = ReturnType<typeof createActivities>

/** Every side effect of a workflow. Each may run twice, and says why that is harmless. */
export function createActivities(deps: ActivityDeps) {
  return {
    ...createLaunches(deps.skypilot),
    ...createProjection(deps.db),
    watchFleet: (): Promise<void> => watchFleet(deps),

    /** Wakes the look-out wherever it runs. Safe to repeat: a second wish for a look is one look more. */
    askForLook: (): Promise<void> => askForLook(deps.db),
  }
}
