import type { Fact } from '../core/facts.ts'
import { ClustersView } from './clusters-view.ts'
import { type Awaited, JobsView } from './jobs-view.ts'

/** A job that an experiment believes to live, and what it shows of it. */
export interface Shown extends Awaited {
  /** Null for a managed job. */
  clusterName: string | null
  status: string
}

/** Everything that experiments were last told: about managed jobs, about clusters, and about the jobs on each. */
export class FleetView {
  readonly managed = new JobsView(null)
  readonly clusters = new ClustersView()
  readonly #onClusters = new Map<string, JobsView>()
  /** When the tables were read last, by `performance.now()`; null: all of it is to be read. */
  readAtMs: number | null = null
  /** May a cluster be noted as one that does not answer? An earlier worker may have noted some. */
  mayBeSilent = true

  /** The jobs of one cluster. */
  on(clusterName: string): JobsView {
    const known = this.#onClusters.get(clusterName)
    if (known) return known
    const fresh = new JobsView(clusterName)
    this.#onClusters.set(clusterName, fresh)
    return fresh
  }

  /** The queue that a job is in. */
  queueOf = (clusterName: string | null): JobsView =>
    clusterName === null ? this.managed : this.on(clusterName)

  /** Clusters on which the end of a job is waited for: only their queues are asked for. */
  clustersAtWork(): string[] {
    return [...this.#onClusters].filter(([, view]) => view.isWaiting).map(([name]) => name)
  }

  /** Of jobs on all other clusters nothing is known any more: one that comes again counts its jobs from 1. */
  forgetClustersBut(names: ReadonlySet<string>): void {
    for (const name of this.#onClusters.keys()) if (!names.has(name)) this.#onClusters.delete(name)
  }

  /** Compares what was told with all that experiments show; what differs is told again, and so is what none of them has. */
  audit(shown: readonly Shown[]): void {
    const byQueue = new Map<string | null, Shown[]>()
    for (const job of shown) {
      const others = byQueue.get(job.clusterName)
      if (others) others.push(job)
      else byQueue.set(job.clusterName, [job])
    }
    for (const queue of [this.managed, ...this.#onClusters.values()])
      queue.tellAgainBut(byQueue.get(queue.clusterName) ?? [])
    for (const { clusterName, status, ...job } of shown) this.queueOf(clusterName).audit(job, status)
  }

  get isAnythingLive(): boolean {
    return this.managed.isWaiting || this.clustersAtWork().length > 0 || this.clusters.isAnyMoving
  }

  /** What could not be delivered counts as not told, so the next look tells it again. */
  forgetTold(experimentId: number, facts: readonly Fact[]): void {
    for (const fact of facts) {
      if (fact.kind === 'observed' || fact.kind === 'foreignSeen')
        this.queueOf(fact.observation.clusterName).forgetTold(experimentId, fact)
      else if (fact.kind === 'vanished') this.queueOf(fact.clusterName ?? null).forgetTold(experimentId, fact)
      else this.clusters.forgetTold(fact)
    }
  }

  /** Nobody was there to be told: what still lives is told again at the next audit. */
  noteUnheard(facts: readonly Fact[]): void {
    for (const fact of facts) {
      if (fact.kind === 'observed' || fact.kind === 'foreignSeen')
        this.queueOf(fact.observation.clusterName).noteUnheard(fact)
    }
  }
}
