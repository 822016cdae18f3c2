import type { AttemptSnapshot, Snapshot } from '../../core/snapshot.ts'
import type { Context } from './context.ts'

/** The read model: idempotent upserts that carry a revision. It may be away, and be written late, twice and out of order. */
export class Tables {
  isUp = true
  readonly experiments = new Map<number, Snapshot>()
  readonly attempts = new Map<string, AttemptSnapshot & { experimentId: number }>()
  readonly events = new Map<string, string>()
  /** Highest revision seen so far, to see that a row never goes back. */
  readonly #context: Context

  constructor(context: Context) {
    this.#context = context
  }

  write(snapshot: Snapshot): void {
    const before = this.experiments.get(snapshot.id)
    const isOlder = before !== undefined && before.revision >= snapshot.revision
    if (isOlder && this.#context.protections.revisionGuard) return this.#children(snapshot)
    if (before !== undefined && before.revision > snapshot.revision)
      this.#context.violated(
        'I8',
        `row ${snapshot.name} goes back from ${before.revision} to ${snapshot.revision}`,
      )
    this.experiments.set(snapshot.id, snapshot)
    this.#children(snapshot)
  }

  #children({ id, attempts, events }: Snapshot): void {
    for (const attempt of attempts) {
      const key = `${id}.${attempt.run}.${attempt.attempt}`
      const before = this.attempts.get(key)
      if (!before || before.revision < attempt.revision)
        this.attempts.set(key, { ...attempt, experimentId: id })
    }
    for (const event of events) this.events.set(`${id}.${event.seq}`, event.kind)
  }

  liveAttempts(): Array<AttemptSnapshot & { experimentId: number }> {
    return [...this.attempts.values()].filter(({ phase, jobId }) => phase === 'active' && jobId !== null)
  }

  expectedClusters(): Array<{ experimentId: number; clusterName: string; status: string | null }> {
    return [...this.experiments.values()].flatMap(({ id, cluster }) =>
      cluster ? [{ experimentId: id, clusterName: cluster.name, status: cluster.status }] : [],
    )
  }
}
