import type { AttemptRow, Command, Evidence, LedgerLine, Violation } from './evidence.ts'
import {
  byExperiment,
  codeSpan,
  type Job,
  jobsOf,
  lifeOf,
  type Overlap,
  overlapsOf,
  processSpan,
} from './jobs.ts'

/** From an ambiguous event until one job is left: seen by the fleet, cancelled, grown cold; beside further faults. */
export const OVERLAP_MAX_MS = 45_000

/** A launch that was on its way when the stop was acknowledged may still arrive: a frozen process wakes up so late. */
const STOP_LATE_MS = 30_000

/** A launch that was held up by a fault arrives so soon after the fault. */
const BLIND_AFTER_MS = 3_000

/** Judges what SkyPilot's ledger and the jobs themselves tell. */
export function checkJobs(evidence: Evidence): Violation[] {
  const jobs = jobsOf(evidence.ledger)
  const groups = [...byExperiment(jobs)]
  return [
    ...groups.flatMap(([experimentId, own]) => checkExclusion(evidence, experimentId, own)),
    ...groups.flatMap(([experimentId, own]) => checkSubmissions(evidence, experimentId, own)),
    ...groups.flatMap(([experimentId, own]) => checkStops(evidence, experimentId, own)),
    ...jobs.flatMap((job) => checkOwner(evidence, job)),
    ...jobs.flatMap((job) => checkWitness(evidence, job)),
    ...evidence.attempts.flatMap((attempt) => checkOutcome(jobs, attempt)),
  ]
}

/** Overlaps of unfinished jobs, for the histogram. */
export const unfinishedOverlaps = (evidence: Evidence): Overlap[] =>
  [...byExperiment(jobsOf(evidence.ledger)).values()].flatMap((own) => overlapsOf(own.map(lifeOf)))

function checkExclusion(evidence: Evidence, experimentId: number, own: readonly Job[]): Violation[] {
  const code = overlapsOf(own.flatMap((job) => codeSpan(job, evidence.witness)))
  // A process without user code is one that the fence has turned away.
  const withCode = own.filter((job) => codeSpan(job, evidence.witness).length > 0 || job.endedMs === null)
  const processes = overlapsOf(withCode.flatMap(processSpan))
  const twice = code.length > 0 ? code : processes
  const long = overlapsOf(own.map(lifeOf)).filter(({ fromMs, toMs }) => toMs - fromMs > OVERLAP_MAX_MS)
  return [
    ...twice.map((overlap) => violationOf('I1 exclusion', experimentId, overlap)),
    ...long.map((overlap) => violationOf('I1b overlap', experimentId, overlap)),
  ]
}

/** Without witnesses nothing could be said about exclusion, so a missing one is as bad as a broken rule. */
function checkWitness(evidence: Evidence, job: Job): Violation[] {
  if (job.ending !== 'SUCCEEDED' || codeSpan(job, evidence.witness).length > 0) return []
  const text = `job ${job.jobId} (${job.name}) succeeded, but its code left no witness`
  return [{ invariant: 'I1 exclusion', experimentId: job.experimentId, text, lines: linesOf([job]) }]
}

function violationOf(
  invariant: 'I1 exclusion' | 'I1b overlap',
  experimentId: number,
  { first, second, fromMs, toMs }: Overlap,
): Violation {
  const lasted = Number.isFinite(toMs) ? `for ${toMs - fromMs} ms` : 'to the end'
  return {
    invariant,
    experimentId,
    text: `jobs ${first.jobId} (${first.name}) and ${second.jobId} (${second.name}) at once from ${iso(fromMs)} ${lasted}`,
    lines: linesOf([first, second]),
  }
}

/** The same name again is only right where nobody could know better, and then the fence keeps one of them out. */
function checkSubmissions(evidence: Evidence, experimentId: number, own: readonly Job[]): Violation[] {
  const byName = new Map<string, Job[]>()
  for (const job of own) byName.set(job.name, [...(byName.get(job.name) ?? []), job])
  return [...byName].flatMap(([name, same]) =>
    same.slice(1).flatMap((job, at) => {
      const before = same[at]!
      if (wasBlind(evidence, before.submittedMs, job.submittedMs)) return []
      return [
        {
          invariant: 'I2 submission' as const,
          experimentId,
          text: `${name} was submitted as job ${before.jobId} and again as job ${job.jobId}`,
          lines: linesOf([before, job]),
        },
      ]
    }),
  )
}

const wasBlind = ({ faults }: Evidence, fromMs: number, toMs: number): boolean =>
  faults.some(
    ({ blinds, startedMs, endedMs }) => blinds && startedMs <= toMs && endedMs + BLIND_AFTER_MS >= fromMs,
  )

function checkStops(evidence: Evidence, experimentId: number, own: readonly Job[]): Violation[] {
  const wishes = evidence.commands.filter(
    (command) => command.experimentId === experimentId && isWishOfState(command),
  )
  return own.flatMap((job) => {
    const stop = wishes
      .filter(({ outcome, endedMs }) => outcome === 'ok' && endedMs !== null && endedMs <= job.submittedMs)
      .findLast((wish) => stateOf(wish) !== 'RUNNING')
    if (!stop) return []
    const restarted = wishes.some(
      (wish) =>
        stateOf(wish) === 'RUNNING' &&
        wish.outcome !== 'fail' &&
        (wish.endedMs ?? Number.POSITIVE_INFINITY) >= stop.invokedMs &&
        wish.invokedMs <= job.submittedMs,
    )
    const lateMs = job.submittedMs - (stop.endedMs ?? 0)
    if (restarted || lateMs <= STOP_LATE_MS) return []
    const text = `job ${job.jobId} (${job.name}) was submitted ${lateMs} ms after the acknowledged ${stop.token} ${stop.value}`
    return [{ invariant: 'I5 stop' as const, experimentId, text, lines: linesOf([job]) }]
  })
}

const isWishOfState = ({ kind }: Command): boolean => kind !== 'flags'

/** What a command makes the desired state. */
export const stateOf = ({ kind, value }: Command): string => (kind === 'delete' ? 'TERMINATED' : value)

function checkOwner(evidence: Evidence, job: Job): Violation[] {
  const isKnown = evidence.attempts.some(
    (attempt) =>
      attempt.experiment_id === job.experimentId &&
      attempt.run === job.run &&
      attempt.attempt === job.attempt &&
      attempt.job_name === job.name,
  )
  if (isKnown) return []
  const text = `job ${job.jobId} (${job.name}) belongs to no attempt`
  return [{ invariant: 'orphans', experimentId: job.experimentId, text, lines: linesOf([job]) }]
}

/** An attempt says of its job what the ledger says of it. */
function checkOutcome(jobs: readonly Job[], attempt: AttemptRow): Violation[] {
  const job = jobs.find(({ jobId }) => jobId === attempt.job_id)
  const same = jobs.filter(({ name }) => name === attempt.job_name)
  const wrong = whyWrong(attempt, job, same)
  if (wrong === undefined) return []
  const text = `attempt ${attempt.job_name} ${wrong}`
  return [
    {
      invariant: 'I7 outcomes',
      experimentId: attempt.experiment_id,
      text,
      lines: [JSON.stringify(attempt), ...linesOf(job ? [job] : same)],
    },
  ]
}

function whyWrong(attempt: AttemptRow, job: Job | undefined, same: readonly Job[]): string | undefined {
  if (attempt.job_id === null)
    return same.length > 0 && attempt.phase === 'ended'
      ? `says that it never had a job, but there was job ${same[0]?.jobId}`
      : undefined
  if (!job) return `names job ${attempt.job_id}, which never was`
  if (job.ending === null) return attempt.phase === 'ended' ? 'has ended, but its job lives' : undefined
  if (attempt.phase !== 'ended') return `is ${attempt.phase}, but its job ended as ${job.ending}`
  if (attempt.outcome === null) return 'has ended without an outcome'
  return attempt.status === job.ending ? undefined : `says ${attempt.status}, but its job ${job.ending}`
}

export const iso = (atMs: number): string => new Date(atMs).toISOString()

export const sayLine = ({ atMs, effect, jobId, name, detail }: LedgerLine): string =>
  `${iso(atMs)} ${effect} job ${jobId} ${name}${detail === null ? '' : ` (${detail})`}`

const linesOf = (jobs: readonly Job[]): string[] =>
  jobs
    .flatMap(({ lines }) => lines)
    .toSorted((a, b) => a.atMs - b.atMs)
    .map(sayLine)
