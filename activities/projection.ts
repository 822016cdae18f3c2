import type { Pool } from 'pg'
import type { Snapshot } from '../core/snapshot.ts'
import { project } from '../store/project.ts'

export function createProjection(db: Pool) {
  return {
    /** Brings the tables up to the snapshot. Safe in any order and number: an older revision changes nothing. */
    project: (snapshot: Snapshot): Promise<void> => project(db, snapshot),
  }
}
