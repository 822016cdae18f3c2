import { parseJobName } from '../core/build-task.ts'
import type { Fact, Observation } from '../core/evolve.ts'
import { endingOf } from '../core/job-status.ts'
import type { ManagedJobRecord } from '../skypilot/schemas.ts'

/** A job must be missing from this many complete looks before it counts as gone. */
const MISSES_MIN = 2

interface Tracked {
  jobName: string
  told: string
  misses: number
}

export interface Look {
  live: readonly ManagedJobRecord[]
  ended: readonly ManagedJobRecord[]
  /** False when a part of the answer could not be read: then nothing is concluded from absence. */
  complete: boolean
  seenAtMs: number
}

export type FleetView = ReturnType<typeof createFleetView>

/** What the fleet last told each experiment about its jobs, so that only changes are told. Pure but for its memory. */
export function createFleetView() {
  const tracked = new Map<number, Tracked>()

  function news(job: ManagedJobRecord, seenAtMs: number): Fact | undefined {
    const identity = parseJobName(job.jobName)
    if (!identity) return undefined
    const known = tracked.get(job.jobId) ?? { jobName: job.jobName, told: '', misses: 0 }
    const print = fingerprint(job)
    const isOver = endingOf(job.status) !== undefined && job.scheduleState === 'DONE'
    if (isOver) tracked.delete(job.jobId)
    else tracked.set(job.jobId, { ...known, told: print, misses: 0 })
    return known.told === print
      ? undefined
      : { kind: 'observed', identity, observation: observationOf(job, seenAtMs) }
  }

  function missing(look: Look): Array<[number, Fact]> {
    if (!look.complete) return []
    const present = new Set([...look.live, ...look.ended].map((job) => job.jobId))
    const facts: Array<[number, Fact]> = []
    for (const [jobId, job] of tracked) {
      if (present.has(jobId)) continue
      job.misses += 1
      const identity = parseJobName(job.jobName)
      if (job.misses < MISSES_MIN || !identity) continue
      tracked.delete(jobId)
      facts.push([identity.experimentId, { kind: 'vanished', jobId, atMs: look.seenAtMs }])
    }
    return facts
  }

  return {
    /** Expects news of a job that was known before this look-out began. */
    track(jobId: number, jobName: string): void {
      if (!tracked.has(jobId)) tracked.set(jobId, { jobName, told: '', misses: 0 })
    },

    /** Jobs that were live and are not in this list of live ones: they have ended, or are lost. */
    notIn(live: readonly ManagedJobRecord[]): number[] {
      const present = new Set(live.map((job) => job.jobId))
      return [...tracked.keys()].filter((jobId) => !present.has(jobId))
    },

    /** Takes a look in, and returns what changed, by experiment. */
    take(look: Look): Map<number, Fact[]> {
      const facts = missing(look)
      for (const job of [...look.live, ...look.ended]) {
        const fact = news(job, look.seenAtMs)
        if (fact?.kind === 'observed') facts.push([fact.identity.experimentId, fact])
      }
      const byExperiment = new Map<number, Fact[]>()
      for (const [experimentId, fact] of facts)
        byExperiment.set(experimentId, [...(byExperiment.get(experimentId) ?? []), fact])
      return byExperiment
    },

    /** What could not be delivered counts as not told, so the next look tells it again. */
    forgetTold(facts: readonly Fact[]): void {
      for (const fact of facts)
        if (fact.kind === 'observed')
          tracked.set(fact.observation.jobId, { jobName: fact.observation.jobName, told: '', misses: 0 })
    },

    liveExperiments(): number[] {
      const ids = [...tracked.values()].map((job) => parseJobName(job.jobName)?.experimentId)
      return [...new Set(ids.filter((id) => id !== undefined))]
    },
  }
}

const fingerprint = (job: ManagedJobRecord): string =>
  [
    job.status,
    job.scheduleState,
    job.recoveryCount,
    job.details,
    job.failureReason,
    job.startAtMs,
    job.endAtMs,
  ].join('|')

const observationOf = (job: ManagedJobRecord, seenAtMs: number): Observation => ({
  jobId: job.jobId,
  jobName: job.jobName,
  status: job.status,
  scheduleState: job.scheduleState,
  details: job.details?.slice(0, 500) ?? null,
  failureReason: job.failureReason?.slice(0, 2_000) ?? null,
  submittedAtMs: job.submittedAtMs,
  startedAtMs: job.startAtMs,
  endedAtMs: job.endAtMs,
  recoveries: job.recoveryCount,
  seenAtMs,
})
