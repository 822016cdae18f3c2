import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { z } from 'zod'
import type { Part } from '../desk.ts'
import { range } from '../experiments.ts'
import type { Fleet } from '../fleet.ts'
import { median, type Pair, type Result } from '../report.ts'
import { noteMachine, type Scenario } from '../scenario.ts'
import { countStatements, type Statements } from '../statement-log.ts'
import { aboveRest, type Usage, watchUsage } from '../usage.ts'

/** Whole rounds of the look-out in each half of a pair. */
const ROUNDS = 2
const PAIRS_MAX = 3
const LISTINGS = 10

/** The share of the live jobs that changes from one look to the next. */
const CHANGED = 0.01

const PARTS: readonly Part[] = ['worker', 'postgres', 'temporal']

const Listing = z.object({ cpuMs: z.number(), jobs: z.int() })

/** P9: what one look at all live jobs costs, when nothing and when one in a hundred has changed. */
export const sweepCost: Scenario = {
  id: 'P9',
  title: 'what one look at all live jobs costs',
  async run(bench) {
    const fleet = await bench.fleet()
    await fleet.growTo(bench.n)
    await fleet.untilQuiet()
    const flips = new Flips(fleet)
    const note = noteMachine()
    const rounds: Round[] = []
    for (const index of range(Math.min(bench.pairs, PAIRS_MAX))) {
      const round = await measure(fleet, flips)
      rounds.push(round)
      bench.say(`  pair ${index + 1}: ${sayRound(round)}`)
    }
    const quiet = await statementsOf(fleet)
    flips.perListing = flips.changed
    const changed = await statementsOf(fleet)
    flips.perListing = 0
    await flips.restore()
    return describe(fleet.running, flips.changed, rounds, { quiet, changed }, note)
  },
}

/** CPU time of one look, in ms. */
interface Round {
  quiet: Usage
  changed: Usage
  /** Of a process that only lists and parses. */
  listingMs: number
}

const workerMs = ({ byPart }: Usage): number => (byPart.get('worker') ?? 0) / ROUNDS
const everyMs = ({ cpuMs }: Usage): number => cpuMs / ROUNDS

const sayRound = ({ quiet, changed, listingMs }: Round): string =>
  `worker ${workerMs(quiet).toFixed(0)} ms quiet, ${workerMs(changed).toFixed(0)} ms changed, bare listing ${listingMs.toFixed(0)} ms`

/** Changes some jobs after each listing, others each time, so that the next one shows them. */
class Flips {
  readonly changed: number
  perListing = 0
  readonly #fleet: Fleet
  #next = 0

  constructor(fleet: Fleet) {
    this.#fleet = fleet
    this.changed = Math.max(1, Math.round(fleet.running * CHANGED))
    fleet.desk.skypilot.onListed = () => this.#flip(this.perListing)
  }

  #flip(count: number): void {
    const jobs = this.#fleet.liveJobs
    for (const _ of range(count)) {
      const job = jobs[this.#next++ % jobs.length]
      if (!job) continue
      const status = job.status === 'RUNNING' ? 'RECOVERING' : 'RUNNING'
      this.#fleet.desk.skypilot.change(job, { status, recovery_count: job.recovery_count + 1 })
    }
  }

  /** Lets every job run again, and waits until everybody knows. */
  async restore(): Promise<void> {
    const { skypilot } = this.#fleet.desk
    skypilot.onListed = () => undefined
    for (const job of this.#fleet.liveJobs)
      if (job.status !== 'RUNNING') skypilot.change(job, { status: 'RUNNING' })
    await this.#fleet.sweeps(1)
    await this.#fleet.untilQuiet()
  }
}

/**
 * Three windows of the same length: the look-out rests (SkyPilot lets it wait), looks and finds nothing new, looks
 * and finds that jobs have changed. What is used at rest is taken off the others.
 */
async function measure(fleet: Fleet, flips: Flips): Promise<Round> {
  const { desk } = fleet
  const listingMs = await bareListing(fleet)
  desk.skypilot.hold()
  await sleep(fleet.pollIntervalMs + 1_000)
  const resting = watchUsage(desk, PARTS)
  await sleep(ROUNDS * fleet.pollIntervalMs)
  const rest = resting()
  desk.skypilot.release()
  await fleet.untilQuiet()
  const quiet = await fleet.across(ROUNDS, () => watchUsage(desk, PARTS))
  flips.perListing = flips.changed
  await fleet.sweeps(1)
  const changed = await fleet.across(ROUNDS, () => watchUsage(desk, PARTS))
  flips.perListing = 0
  await fleet.sweeps(1)
  await fleet.untilQuiet()
  return { quiet: aboveRest(quiet, rest), changed: aboveRest(changed, rest), listingMs }
}

async function bareListing({ desk }: Fleet): Promise<number> {
  const script = fileURLToPath(new URL('../bare/listing.ts', import.meta.url))
  const args = [script, desk.skypilot.url, String(LISTINGS)]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  return Listing.parse(JSON.parse(stdout)).cpuMs
}

/** What Postgres is asked in one look and in what follows from it. Writing it down costs time, so it is not timed. */
async function statementsOf(fleet: Fleet): Promise<Statements> {
  const { desk } = fleet
  const client = new pg.Client({ connectionString: desk.databaseUrl })
  await client.connect()
  const logAll = async (setting: 'all' | 'none'): Promise<void> => {
    await client.query(`alter system set log_statement = '${setting}'`)
    await client.query('select pg_reload_conf()')
  }
  try {
    await logAll('all')
    const text = await fleet.across(ROUNDS, () => {
      const from = readFileSync(desk.postgresLog).length
      return () => readFileSync(desk.postgresLog).subarray(from).toString('utf8')
    })
    const { statements, commits } = countStatements(text)
    return { statements: statements / ROUNDS, commits: commits / ROUNDS }
  } finally {
    await logAll('none')
    await client.end()
  }
}

function describe(
  n: number,
  changed: number,
  rounds: readonly Round[],
  sql: { quiet: Statements; changed: Statements },
  note: ReturnType<typeof noteMachine>,
): Result[] {
  const middle = (of: (round: Round) => number): number => median(rounds.map(of))
  const pair = (value: (round: Round) => number, baseline: (round: Round) => number): Pair[] =>
    rounds.map((round) => ({ value: value(round), baseline: baseline(round) }))
  const quiet = {
    id: 'P9',
    what: 'CPU of a look that finds nothing new',
    unit: 'ms',
    against: 'a process that lists and parses the same',
    n,
    goal: 'at most 150 ms above the listing; 3 statements',
    more: {
      'above the listing ms': middle((round) => workerMs(round.quiet) - round.listingMs),
      'with Postgres and Temporal ms': middle((round) => everyMs(round.quiet)),
      statements: sql.quiet.statements,
      commits: sql.quiet.commits,
    },
  }
  const reaction = {
    id: 'P9',
    what: `CPU of a look that finds ${changed} changed`,
    unit: 'ms',
    against: 'a look that finds nothing new',
    n,
    goal: 'grows with what changed only',
    more: {
      'for each changed, all parts ms': middle(
        (round) => (everyMs(round.changed) - everyMs(round.quiet)) / changed,
      ),
      'for each changed, worker ms': middle(
        (round) => (workerMs(round.changed) - workerMs(round.quiet)) / changed,
      ),
      statements: sql.changed.statements,
      commits: sql.changed.commits,
    },
  }
  return [
    note(
      quiet,
      pair(
        (round) => workerMs(round.quiet),
        (round) => round.listingMs,
      ),
    ),
    note(
      reaction,
      pair(
        (round) => everyMs(round.changed),
        (round) => everyMs(round.quiet),
      ),
    ),
  ]
}
