import type { Client } from '@temporalio/client'
import type { Pool } from 'pg'
import type { SkyPilot } from '../skypilot/client.ts'
import { watchFleet } from './fleet.ts'
import { createLaunches } from './launch.ts'
import { createProjection } from './projection.ts'

export type { LaunchOutcome, LaunchOrder } from './launch.ts'

export interface ActivityDeps {
  skypilot: SkyPilot
  db: Pool
  temporal: Client
  log: (message: string, fields?: Record<string, unknown>) => void
}

export type Activities = ReturnType<typeof createActivities>

/** Every side effect of a workflow. Each may run twice, and says why that is harmless. */
export function createActivities(deps: ActivityDeps) {
  return {
    ...createLaunches(deps.skypilot),
    ...createProjection(deps.db),
    watchFleet: (input: { pollIntervalMs: number }): Promise<void> => watchFleet(deps, input),
  }
}
