import type { ClusterObservation, Fact } from '../core/facts.ts'

/** After so many looks without it an experiment knows that its cluster is gone. */
const MISSES_TOLD_MAX = 2

interface Expected {
  experimentId: number
  told: string
  misses: number
  /** False for one whose name only looks like an experiment's: told, but never missed. */
  isOwned: boolean
}

export interface ClustersLook {
  clusters: readonly ClusterObservation[]
  /** False when a part of the answer could not be read: then nothing is concluded from absence. */
  complete: boolean
  seenAtMs: number
}

/** What experiments were last told about their clusters, so that only changes are told. Does no I/O. */
export class ClustersView {
  readonly #expected = new Map<string, Expected>()

  /**
   * Experiments that believe to have a cluster, and what they show of it. With `afresh` all is told again that differs, and
   * what none of them believes to have: nobody may have been there to be told.
   */
  expect(
    clusters: ReadonlyArray<{ experimentId: number; clusterName: string; status: string | null }>,
    afresh: boolean,
  ): void {
    const names = new Set(clusters.map(({ clusterName }) => clusterName))
    for (const [name, { isOwned }] of this.#expected)
      if ((isOwned || afresh) && !names.has(name)) this.#expected.delete(name)
    for (const { experimentId, clusterName, status } of clusters) {
      const known = this.#expected.get(clusterName)
      const isStale = afresh && !known?.told.startsWith(`${status}|`)
      if (!known?.isOwned || isStale)
        this.#expected.set(clusterName, { experimentId, told: '', misses: 0, isOwned: true })
    }
  }

  /** Is one on its way up or down? Then it is worth looking again soon. */
  get isAnyMoving(): boolean {
    return [...this.#expected.values()].some(
      ({ told, isOwned }) => isOwned && !told.startsWith('UP|') && !told.startsWith('STOPPED|'),
    )
  }

  /** Takes a look in, and returns what changed, by experiment. */
  take(
    look: ClustersLook,
    ownerOf: (name: string) => number | undefined,
  ): Array<[experimentId: number, fact: Fact]> {
    const facts: Array<[number, Fact]> = []
    for (const cluster of look.clusters) {
      const experimentId = this.#expected.get(cluster.name)?.experimentId ?? ownerOf(cluster.name)
      if (experimentId !== undefined && this.#isNews(cluster, experimentId))
        facts.push([experimentId, { kind: 'clusterSeen', cluster }])
    }
    if (look.complete) facts.push(...this.#missing(look))
    return facts
  }

  #missing({ clusters, seenAtMs }: ClustersLook): Array<[number, Fact]> {
    const facts: Array<[number, Fact]> = []
    const present = new Set(clusters.map(({ name }) => name))
    for (const [name, expected] of this.#expected) {
      if (!present.has(name) && !expected.isOwned) this.#expected.delete(name)
      if (!expected.isOwned || present.has(name) || expected.misses >= MISSES_TOLD_MAX) continue
      expected.misses += 1
      expected.told = ''
      facts.push([expected.experimentId, { kind: 'clusterAbsent', name, seenAtMs }])
    }
    return facts
  }

  forgetTold(fact: Fact): void {
    const name =
      fact.kind === 'clusterSeen' ? fact.cluster.name : fact.kind === 'clusterAbsent' ? fact.name : null
    const known = name === null ? undefined : this.#expected.get(name)
    if (!known) return
    known.told = ''
    known.misses = 0
  }

  #isNews(cluster: ClusterObservation, experimentId: number): boolean {
    const told = fingerprint(cluster)
    const known = this.#expected.get(cluster.name)
    this.#expected.set(cluster.name, { experimentId, told, misses: 0, isOwned: known?.isOwned ?? false })
    return known?.told !== told
  }
}

const fingerprint = ({ status, reason, launchedAtMs, autostopMinutes }: ClusterObservation): string =>
  [status, reason, launchedAtMs, autostopMinutes].join('|')
