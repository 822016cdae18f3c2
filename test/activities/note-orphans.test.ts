import type { Pool } from 'pg'
import { expect, test } from 'vitest'
import { noteOrphans } from '../../activities/note-orphans.ts'
import type { ClusterObservation } from '../../core/facts.ts'
import type { SeenOrphan } from '../../store/fleet.ts'

const T = 1_000_000_000_000
const cluster = (name: string): ClusterObservation => ({
  name,
  status: 'UP',
  reason: null,
  launchedAtMs: T - 3_600_000,
  autostopMinutes: null,
  seenAtMs: T,
})

/** Names of what was written down, by tables that know no experiment. */
async function noted(...clusters: ClusterObservation[]): Promise<string[]> {
  const names: string[] = []
  const query = (sql: string, [, seen]: [string, string] | [string] | [] = []) => {
    if (sql.includes('into orphan') && seen !== undefined)
      names.push(...(JSON.parse(seen) as SeenOrphan[]).map(({ name }) => name))
    return Promise.resolve({ rows: [] })
  }
  const deps = { db: { query } as unknown as Pool, log: (what: string) => expect.unreachable(what) }
  await noteOrphans(deps, [], clusters, new Map(), T)
  return names
}

test("SkyPilot's own clusters are nobody's to end: on them is what everybody runs", async () => {
  const all = ['idle', 'sky-jobs-controller-a1b2c3d4', 'sky-serve-controller-12345678', 'gone-7']
  expect(await noted(...all.map(cluster))).toEqual(['idle', 'gone-7'])
})
