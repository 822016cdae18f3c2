import type { Pool } from 'pg'
import type { Snapshot } from '../core/snapshot.ts'
import { project } from '../store/project.ts'

export function createProjection(db: Pool) {
  return {
    /**
     * Brings the tables up to the snapshot. Safe in any order and number: an older revision changes nothing. Gives it
     * back, so that the history holds what was told (a local activity leaves no input there), should tables ever lose it.
     */
    project: async (snapshot: Snapshot): Promise<Snapshot> => {
      await project(db, snapshot)
      return snapshot
    },
  }
}
