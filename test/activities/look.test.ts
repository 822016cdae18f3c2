import type { Pool } from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { FleetView } from '../../activities/fleet-view.ts'
import { MISSES_APART_MS } from '../../activities/jobs-view.ts'
import { look } from '../../activities/look.ts'
import type { Fact } from '../../core/facts.ts'
import { ActivityBench, unreadable } from './bench.ts'

const bench = new ActivityBench()
let view: FleetView
/** Each look is as long after the one before as two that count must be. */
let now = Date.now()
beforeAll(() => bench.start())
beforeEach(() => {
  view = new FleetView()
})
afterEach(async () => {
  bench.tamper = null
  await bench.faults()
})
afterAll(() => bench.server.dispose())

/** The tables are away, so all that is known is what was seen. */
const db = { query: () => Promise.reject(new Error('Postgres is away')) } as unknown as Pool

async function seen(): Promise<{ facts: Fact[]; error: string | null }> {
  const deps = { skypilot: bench.sky, db, log: () => undefined, onProgress: () => undefined }
  const when = { isAudit: false, areTablesBehind: false, startedAtMs: (now += MISSES_APART_MS) }
  const { news, error } = await bench.run(() => look(deps, view, when))
  return { facts: [...news.values()].flat(), error }
}

const kindsOf = (facts: readonly Fact[]): string[] => facts.map(({ kind }) => kind)
/** What the listing of one kind is, and all others as they are. */
const instead = (fits: (value: unknown) => boolean, other: (value: unknown) => unknown) => (value: unknown) =>
  fits(value) ? other(value) : value
const isQueue = (value: unknown): boolean => !Array.isArray(value)
const without = (value: unknown): unknown => ({ ...(value as object), jobs: [], total: 0 })

describe('a managed job that is missing', () => {
  test('from two complete looks is gone, from one not yet', async () => {
    await bench.server.launch('sleep 600', {}, 'exp-1.1.1')
    expect(kindsOf((await seen()).facts)).toEqual(['observed'])
    bench.tamper = instead(isQueue, without)
    expect((await seen()).facts).toEqual([])
    expect((await seen()).facts).toMatchObject([{ kind: 'vanished', jobName: 'exp-1.1.1' }])
  })

  test('from looks that cannot be read in full is not gone, however many', async () => {
    await bench.server.launch('sleep 600', {}, 'exp-2.1.1')
    await seen()
    bench.tamper = instead(isQueue, unreadable)
    for (let looks = 0; looks < 5; looks += 1) {
      const { facts, error } = await seen()
      expect(facts).toEqual([])
      expect(error).toMatch(/could not be read/)
    }
  })

  test('from a list that could not be had at all is not gone, however often', async () => {
    await bench.server.launch('sleep 600', {}, 'exp-6.1.1')
    await seen()
    await bench.faults({ match: '/jobs/queue', kind: 'status', status: 500 })
    for (let looks = 0; looks < 4; looks += 1) {
      const { facts, error } = await seen()
      expect(facts).toEqual([])
      expect(error).toMatch(/jobs could not be seen/)
    }
  })

  test('from the live ones is asked for by its id, and its end is told', async () => {
    const jobId = await bench.server.launch('sleep 600', {}, 'exp-3.1.1')
    await seen()
    await bench.sky.jobs.cancel({ jobIds: [jobId] })
    await bench.server.until(jobId, 'CANCELLED')
    // Jobs of the tests before this one may still be on their way.
    const { facts } = await seen()
    const ofIt = facts.filter((fact) => fact.kind === 'observed' && fact.observation.jobId === jobId)
    expect(ofIt).toMatchObject([{ observation: { status: 'CANCELLED' } }])
  })
})

describe('a cluster', () => {
  const task = JSON.stringify({ name: 'exp-4.1.1', run: 'sleep 600' })
  const isClusters = (value: unknown): boolean =>
    Array.isArray(value) && JSON.stringify(value).includes('cluster_hash')
  const isClusterQueue = (value: unknown): boolean => Array.isArray(value) && !isClusters(value)

  test('that is missing is told so only by a look that could be read in full', async () => {
    await (await bench.sky.clusters.launch({ name: 'exp-4', task })).result()
    view.clusters.expect([{ experimentId: 4, clusterName: 'exp-4', status: null }], true)
    expect(kindsOf((await seen()).facts)).toContain('clusterSeen')
    bench.tamper = instead(isClusters, unreadable)
    for (let looks = 0; looks < 3; looks += 1) {
      const { facts, error } = await seen()
      expect(kindsOf(facts)).not.toContain('clusterAbsent')
      expect(error).toMatch(/of the clusters could not be read/)
    }
    bench.tamper = instead(isClusters, () => [])
    expect(kindsOf((await seen()).facts)).toContain('clusterAbsent')
  })

  test('whose queue cannot be read in full has not lost its jobs', async () => {
    const { jobId } = await (await bench.sky.clusters.launch({ name: 'exp-5', task })).result()
    view.on('exp-5').track({ jobId: jobId ?? 0, jobName: 'exp-4.1.1', experimentId: 4 })
    expect(kindsOf((await seen()).facts)).toContain('observed')
    bench.tamper = instead(isClusterQueue, unreadable)
    for (let looks = 0; looks < 4; looks += 1) expect(kindsOf((await seen()).facts)).not.toContain('vanished')
    bench.tamper = instead(isClusterQueue, () => [])
    await seen()
    expect(kindsOf((await seen()).facts)).toContain('vanished')
  })
})
