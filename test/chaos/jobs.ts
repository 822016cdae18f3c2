import type { LedgerLine, WitnessLine } from './evidence.ts'

/** One job of SkyPilot, as its ledger tells it. */
export interface Job {
  jobId: number
  name: string
  experimentId: number | null
  run: number
  attempt: number
  submittedMs: number
  /** When a process of it was first begun; null when there never was one. */
  processMs: number | null
  endedMs: number | null
  /** The terminal status in SkyPilot's words; null while it lives. */
  ending: string | null
  lines: readonly LedgerLine[]
}

const ENDINGS = new Set(['SUCCEEDED', 'CANCELLED', 'FAILED', 'FAILED_SETUP'])

/** Puts the ledger in order by job. */
export function jobsOf(ledger: readonly LedgerLine[]): Job[] {
  const byId = new Map<number, LedgerLine[]>()
  for (const line of ledger)
    if (line.jobId !== null) byId.set(line.jobId, [...(byId.get(line.jobId) ?? []), line])
  return [...byId].map(([jobId, lines]) => jobOf(jobId, lines))
}

function jobOf(jobId: number, lines: readonly LedgerLine[]): Job {
  const timeOf = (effect: string): number | null => lines.find((line) => line.effect === effect)?.atMs ?? null
  const end = lines.find(({ effect }) => ENDINGS.has(effect.toUpperCase()))
  const name = lines[0]?.name ?? ''
  return {
    jobId,
    name,
    ...identityIn(name),
    submittedMs: timeOf('submitted') ?? 0,
    processMs: timeOf('process'),
    ...(end ? { endedMs: end.atMs, ending: end.effect.toUpperCase() } : { endedMs: null, ending: null }),
    lines,
  }
}

/** `name-<experiment>.<run>.<attempt>`; read here by a rule of our own, so that the checker owes nothing to the checked. */
function identityIn(name: string): Pick<Job, 'experimentId' | 'run' | 'attempt'> {
  const match = /-(\d+)\.(\d+)\.(\d+)$/.exec(name)
  if (!match) return { experimentId: null, run: 0, attempt: 0 }
  const [experimentId = 0, run = 0, attempt = 0] = match.slice(1).map(Number)
  return { experimentId, run, attempt }
}

/** A stretch of time in which something of a job was there. Without an end it lasts still. */
export interface Span {
  job: Job
  fromMs: number
  toMs: number
}

/** From the submission to the end. */
export const lifeOf = (job: Job): Span => ({
  job,
  fromMs: job.submittedMs,
  toMs: job.endedMs ?? Number.POSITIVE_INFINITY,
})

/** While it had a process; nothing when it never had one. */
export const processSpan = (job: Job): Span[] =>
  job.processMs === null
    ? []
    : [{ job, fromMs: job.processMs, toMs: job.endedMs ?? Number.POSITIVE_INFINITY }]

/** While its user code ran, by its own witness. One that was killed leaves no end; then SkyPilot's word counts. */
export function codeSpan(job: Job, witness: readonly WitnessLine[]): Span[] {
  const own = witness.filter(({ jobId }) => jobId === job.jobId)
  const begin = own.find(({ what }) => what === 'begin')
  if (!begin) return []
  const end = own.find(({ what }) => what === 'end')
  return [{ job, fromMs: begin.atMs, toMs: end?.atMs ?? job.endedMs ?? Number.POSITIVE_INFINITY }]
}

export interface Overlap {
  first: Job
  second: Job
  fromMs: number
  toMs: number
}

/** All pairs that were there at the same time. */
export function overlapsOf(spans: readonly Span[]): Overlap[] {
  const sorted = spans.toSorted((a, b) => a.fromMs - b.fromMs)
  return sorted.flatMap((second, at) =>
    sorted
      .slice(0, at)
      .filter((first) => first.toMs > second.fromMs)
      .map((first) => ({
        first: first.job,
        second: second.job,
        fromMs: second.fromMs,
        toMs: Math.min(first.toMs, second.toMs),
      })),
  )
}

export function byExperiment<T extends { experimentId: number | null }>(
  items: readonly T[],
): Map<number, T[]> {
  const groups = new Map<number, T[]>()
  for (const item of items)
    if (item.experimentId !== null)
      groups.set(item.experimentId, [...(groups.get(item.experimentId) ?? []), item])
  return groups
}

const HISTOGRAM_S = [1, 2, 5, 10, 20, 45, 90]

/** How many overlaps lasted how long, by upper bounds in seconds. */
export function histogramOf(overlaps: readonly Overlap[]): Record<string, number> {
  const bounds = [...HISTOGRAM_S.map((bound) => `<= ${bound} s`), `> ${HISTOGRAM_S.at(-1)} s`]
  const counts = Object.fromEntries(bounds.map((bound) => [bound, 0]))
  for (const { fromMs, toMs } of overlaps) {
    const at = HISTOGRAM_S.findIndex((bound) => toMs - fromMs <= bound * 1_000)
    const bound = bounds.at(at)
    if (bound !== undefined) counts[bound] = (counts[bound] ?? 0) + 1
  }
  return counts
}
