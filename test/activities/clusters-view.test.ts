import { describe, expect, test } from 'vitest'
import { ClustersView } from '../../activities/clusters-view.ts'
import type { ClusterObservation } from '../../core/facts.ts'

const T = 1_000_000_000_000
const cluster = (name: string, status: string): ClusterObservation => ({
  name,
  status,
  reason: null,
  launchedAtMs: T,
  autostopMinutes: null,
  seenAtMs: T,
})
const nobody = (): undefined => undefined
const expecting = (...names: string[]): ClustersView => {
  const view = new ClustersView()
  view.expect(
    names.map((clusterName, index) => ({ experimentId: index + 1, clusterName, status: null })),
    true,
  )
  return view
}
const look = (clusters: ClusterObservation[], complete = true) => ({ clusters, complete, seenAtMs: T })
const told = (view: ClustersView, ...clusters: ClusterObservation[]) => view.take(look(clusters), nobody)

describe('what experiments are told about their clusters', () => {
  test('each change once', () => {
    const view = expecting('a-1')
    expect(told(view, cluster('a-1', 'INIT'))).toMatchObject([[1, { kind: 'clusterSeen' }]])
    expect(told(view, cluster('a-1', 'INIT'))).toEqual([])
    expect(told(view, cluster('a-1', 'UP'))).toMatchObject([[1, { cluster: { status: 'UP' } }]])
  })

  test('absence twice and no more, and again after the next sight of it', () => {
    const view = expecting('a-1')
    expect(told(view)).toMatchObject([[1, { kind: 'clusterAbsent', name: 'a-1' }]])
    expect(told(view)).toMatchObject([[1, { kind: 'clusterAbsent', name: 'a-1' }]])
    expect(told(view)).toEqual([])
    told(view, cluster('a-1', 'UP'))
    expect(told(view)).toHaveLength(1)
  })

  test('what is seen by a look that could not be read in full, and of absence nothing, however often', () => {
    const view = expecting('a-1', 'b-2')
    const half = (...clusters: ClusterObservation[]) => view.take(look(clusters, false), nobody)
    expect(half(cluster('b-2', 'UP'))).toMatchObject([[2, { kind: 'clusterSeen' }]])
    for (let looks = 0; looks < 3; looks += 1) expect(half(cluster('b-2', 'UP'))).toEqual([])
    expect(told(view, cluster('b-2', 'UP'))).toMatchObject([[1, { kind: 'clusterAbsent', name: 'a-1' }]])
  })

  test('a cluster whose name carries an identity, though nothing expects it', () => {
    const news = new ClustersView().take(look([cluster('a-7', 'UP')]), () => 7)
    expect(news).toMatchObject([[7, { kind: 'clusterSeen' }]])
  })

  test('what could not be delivered, and what an experiment does not show a while later', () => {
    const view = expecting('a-1')
    for (const [, fact] of told(view, cluster('a-1', 'UP'))) view.forgetTold(fact)
    expect(told(view, cluster('a-1', 'UP'))).toHaveLength(1)
    view.expect([{ experimentId: 1, clusterName: 'a-1', status: 'INIT' }], true)
    expect(told(view, cluster('a-1', 'UP'))).toHaveLength(1)
    view.expect([{ experimentId: 1, clusterName: 'a-1', status: 'UP' }], true)
    expect(told(view, cluster('a-1', 'UP'))).toEqual([])
  })

  test('a stranger whose name looks like one of ours once, though nothing expects it, and it moves nobody to look', () => {
    const view = new ClustersView()
    const seen = () => {
      view.expect([], false)
      return view.take(look([cluster('dev-1', 'INIT')]), () => 1)
    }
    expect(seen()).toHaveLength(1)
    expect(seen()).toEqual([])
    expect(view.isAnyMoving).toBe(false)
    // Somebody may be there by now, whose deletion was undone.
    view.expect([], true)
    expect(seen()).toHaveLength(1)
    expect(seen()).toEqual([])
  })
})
