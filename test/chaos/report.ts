import { type Evidence, INVARIANTS, type Violation } from './evidence.ts'
import { unfinishedOverlaps } from './check-jobs.ts'
import { histogramOf, jobsOf } from './jobs.ts'

/** What a run has shown, for people and for machines. */
export interface Report {
  seed: number
  command: string
  seconds: { chaos: number; healing: number; calming: number }
  commands: { total: number; ok: number; fail: number; info: number; byKind: Record<string, number> }
  faults: Record<string, number>
  experiments: { total: number; deleted: number }
  jobs: { total: number; byEnding: Record<string, number>; sameNameTwice: number }
  overlaps: { total: number; histogram: Record<string, number> }
  /** By kind of fault: seconds from the fault until the next of each. */
  recovery: Record<string, Record<Sign, Spread>>
  /** Processes that ended without having been killed. */
  deaths: Record<string, readonly string[]>
  holdings: Evidence['holdings']
  violations: readonly Violation[]
}

type Sign = 'acknowledged' | 'looked' | 'launched'

interface Spread {
  count: number
  medianS: number
  maxS: number
  /** Faults after which it was never seen again. */
  never: number
}

export interface RunFacts {
  startedMs: number
  healedMs: number
  calmMs: number
  deaths: Record<string, readonly string[]>
}

export function reportOn(
  options: { seed: number; minutes: number; experiments: number; clients: number; perSecond: number },
  evidence: Evidence,
  violations: readonly Violation[],
  facts: RunFacts,
): Report {
  const { commands, faults, experiments, ledger } = evidence
  const jobs = jobsOf(ledger)
  const overlaps = unfinishedOverlaps(evidence)
  const lastFaultMs = Math.max(facts.startedMs, ...commands.map(({ invokedMs }) => invokedMs))
  const outcome = (wanted: string): number => commands.filter((command) => command.outcome === wanted).length
  const names = new Set(jobs.map(({ name }) => name))
  return {
    seed: options.seed,
    command: repeatOf(options),
    seconds: {
      chaos: seconds(lastFaultMs - facts.startedMs),
      healing: seconds(facts.healedMs - lastFaultMs),
      calming: seconds(facts.calmMs - facts.healedMs),
    },
    commands: {
      total: commands.length,
      ok: outcome('ok'),
      fail: outcome('fail'),
      info: outcome('info'),
      byKind: counts(commands.map(({ kind, value }) => (kind === 'state' ? value : kind))),
    },
    faults: counts(faults.map(({ label }) => label)),
    experiments: {
      total: experiments.length,
      deleted: experiments.filter(({ deleted_at: at }) => at !== null).length,
    },
    jobs: {
      total: jobs.length,
      byEnding: counts(jobs.map(({ ending }) => ending ?? 'live')),
      sameNameTwice: jobs.length - names.size,
    },
    overlaps: { total: overlaps.length, histogram: histogramOf(overlaps) },
    recovery: recoveryOf(evidence),
    deaths: facts.deaths,
    holdings: evidence.holdings,
    violations,
  }
}

const repeatOf = (options: {
  seed: number
  minutes: number
  experiments: number
  clients: number
  perSecond: number
}): string =>
  `npm run chaos -- --seed ${options.seed} --minutes ${options.minutes} --experiments ${options.experiments} --clients ${options.clients} --per-second ${options.perSecond}`

const seconds = (ms: number): number => Number((ms / 1_000).toFixed(1))

function counts(items: readonly string[]): Record<string, number> {
  const result: Record<string, number> = {}
  for (const item of items) result[item] = (result[item] ?? 0) + 1
  return Object.fromEntries(Object.entries(result).sort(([a], [b]) => a.localeCompare(b)))
}

/** From each fault until the first sign of life of each sort that began after it. */
function recoveryOf({ faults, commands, looks, ledger }: Evidence): Report['recovery'] {
  const launches = ledger.filter(({ effect }) => effect === 'submitted').map(({ atMs }) => atMs)
  const acknowledged = commands.filter(({ outcome }) => outcome === 'ok')
  const times = new Map<string, Record<Sign, Array<number | undefined>>>()
  for (const { label, target, startedMs } of faults) {
    const of = times.get(label) ?? { acknowledged: [], looked: [], launched: [] }
    times.set(label, of)
    // A console that was hit must itself be there again; for the others any will do.
    const answered = acknowledged
      .filter(({ via, invokedMs }) => invokedMs >= startedMs && (!target.startsWith('api') || via === target))
      .map(({ endedMs }) => endedMs ?? Number.POSITIVE_INFINITY)
    of.acknowledged.push(firstAfter(answered, startedMs))
    of.looked.push(firstAfter(looks, startedMs))
    of.launched.push(firstAfter(launches, startedMs))
  }
  return Object.fromEntries(
    [...times]
      .sort(([a], [b]) => a.localeCompare(b))
      .map(([label, { acknowledged: answers, looked, launched }]) => [
        label,
        { acknowledged: spreadOf(answers), looked: spreadOf(looked), launched: spreadOf(launched) },
      ]),
  )
}

function firstAfter(times: readonly number[], afterMs: number): number | undefined {
  const later = times.filter((atMs) => atMs > afterMs)
  return later.length === 0 ? undefined : Math.min(...later) - afterMs
}

function spreadOf(times: ReadonlyArray<number | undefined>): Spread {
  const seen = times.filter((time) => time !== undefined).sort((a, b) => a - b)
  return {
    count: seen.length,
    medianS: seconds(seen[Math.floor((seen.length - 1) / 2)] ?? 0),
    maxS: seconds(seen.at(-1) ?? 0),
    never: times.length - seen.length,
  }
}

/** The report as people read it. */
export function sayReport(report: Report): string {
  const { commands, jobs, overlaps, violations } = report
  const list = (of: Record<string, number>): string =>
    Object.entries(of)
      .map(([what, count]) => `${what} ${count}`)
      .join(', ')
  const spread = ({ medianS, maxS, count, never }: Spread): string =>
    `${count === 0 ? '-' : `${medianS} (${maxS})`}${never > 0 ? ` never ${never}` : ''}`.padEnd(18)
  return [
    `seed         ${report.seed}`,
    `time         ${report.seconds.chaos} s of chaos, healed after ${report.seconds.healing} s, calm after ${report.seconds.calming} s more`,
    `commands     ${commands.total}: ${commands.ok} acknowledged, ${commands.fail} refused, ${commands.info} unknown (${list(commands.byKind)})`,
    `faults       ${Object.values(report.faults).reduce((sum, count) => sum + count, 0)}: ${list(report.faults)}`,
    `experiments  ${report.experiments.total}, of which ${report.experiments.deleted} deleted`,
    `jobs         ${jobs.total}: ${list(jobs.byEnding)}; the same name again: ${jobs.sameNameTwice}`,
    `overlaps     ${overlaps.total} of unfinished jobs of one experiment: ${list(overlaps.histogram)}`,
    '',
    'recovery: median (longest) seconds from a fault until',
    `  ${''.padEnd(28)}${'acknowledged'.padEnd(18)}${'looked'.padEnd(18)}launched`,
    ...Object.entries(report.recovery).map(([label, signs]) =>
      `  ${label.padEnd(28)}${spread(signs.acknowledged)}${spread(signs.looked)}${spread(signs.launched)}`.trimEnd(),
    ),
    '',
    'open files and memory, at the start and at the end',
    ...report.holdings.map(
      ({ process, before, after }) =>
        `  ${process.padEnd(12)}${before.files} -> ${after.files} files, ${before.residentMiB} -> ${after.residentMiB} MiB`,
    ),
    ...Object.entries(report.deaths).flatMap(([name, deaths]) =>
      deaths.length === 0 ? [] : [`  ${name} ended ${deaths.length} times by itself: ${deaths.at(-1)}`],
    ),
    '',
    ...sayViolations(violations),
    `repeat with  ${report.command}`,
  ].join('\n')
}

function sayViolations(violations: readonly Violation[]): string[] {
  return [
    ...Object.entries(INVARIANTS).map(([invariant, text]) => {
      const count = violations.filter((violation) => violation.invariant === invariant).length
      return `  ${count === 0 ? 'holds   ' : 'VIOLATED'} ${invariant.padEnd(16)} ${text}${count === 0 ? '' : ` (${count})`}`
    }),
    '',
    ...violations.flatMap(({ invariant, text, lines }) => [
      `${invariant}: ${text}`,
      ...lines.slice(0, 24).map((line) => `    ${line.slice(0, 300)}`),
    ]),
  ]
}
