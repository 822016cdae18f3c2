import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findTemporal } from '../../local/temporal-binary.ts'
import { check } from './check.ts'
import { unsettled } from './check-state.ts'
import type { Evidence, Violation } from './evidence.ts'
import { eventually, Faults, planFaults } from './faults.ts'
import { type Gathered, gather } from './gather.ts'
import { jobsOf } from './jobs.ts'
import { Puppets } from './puppet.ts'
import { Random } from './random.ts'
import { keepProof } from './proof.ts'
import { type Report, reportOn } from './report.ts'
import { TableWatch } from './tables.ts'
import { DIST, Topology } from './topology.ts'
import { Workload } from './workload.ts'

export interface ChaosOptions {
  seed: number
  minutes: number
  experiments: number
  clients: number
  perSecond: number
  /** Where the report goes, and the proof of each violation. */
  folder: string
  say: (line: string) => void
  signal: AbortSignal
}

/** How many jobs SkyPilot runs at once: fewer than there are experiments, so that some wait. */
const SLOTS = 40

/** After everything is healed, so long until all must be calm. */
const CALM_MS = 90_000
const CALM_CHECK_MS = 3_000

/** Starts the whole, lets clients and faults loose on it, heals it, and judges what was seen. */
export async function runChaos(options: ChaosOptions): Promise<Report> {
  if (!existsSync(join(DIST, 'worker/main.js')))
    throw new Error('there is nothing to run: build it first (npm run build)')
  const bin = process.env['SKYDECK_TEMPORAL_BIN'] ?? null
  const binary = await findTemporal({ bin, home: join(homedir(), '.skydeck'), log: options.say })
  const home = mkdtempSync(join(tmpdir(), 'skydeck-chaos-'))
  const puppets = new Puppets(home)
  try {
    options.say(`starting in ${home}`)
    const topology = await Topology.start(puppets, { home, binary, slots: SLOTS })
    try {
      return await judge(options, topology, home)
    } finally {
      await topology.close()
    }
  } finally {
    await puppets.stop()
    // Jobs are nobody's children, so they are found by their surroundings.
    for (const pid of processesIn(home)) process.kill(pid, 'SIGKILL')
    rmSync(home, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function judge(options: ChaosOptions, topology: Topology, home: string): Promise<Report> {
  const random = new Random(options.seed)
  const workload = new Workload({
    random: random.fork('workload'),
    apiUrls: topology.apiUrls,
    jobCommand: topology.jobCommand,
    clients: options.clients,
    perSecond: options.perSecond,
    places: options.experiments,
  })
  const watching = new AbortController()
  const watch = new TableWatch()
  const watched = watch.run(topology.servers.databaseUrl, watching.signal)
  await workload.begin()
  const before = topology.holdings()
  const faults = new Faults({
    topology,
    random: random.fork('faults'),
    experimentIds: () => [
      ...new Set(
        workload.commands.flatMap(({ experimentId }) => (experimentId === null ? [] : [experimentId])),
      ),
    ],
    say: options.say,
  })
  const startedMs = Date.now()
  await wreak(options, workload, faults, random)
  options.say('healing')
  await faults.heal()
  await topology.untilReady()
  const healedMs = Date.now()
  const written = (): Pick<Evidence, 'commands' | 'faults' | 'reverted' | 'looks'> => ({
    commands: workload.commands,
    faults: faults.records,
    reverted: watch.reverted,
    looks: watch.looks,
  })
  const gathered = await calm(options, topology, (now) => ({ ...now, ...written(), holdings: [] }))
  const calmMs = Date.now()
  const after = topology.holdings()
  watching.abort()
  await watched
  const holdings = [...after].flatMap(([process, now]) => {
    const then = before.get(process)
    return then ? [{ process, before: then, after: now }] : []
  })
  const evidence: Evidence = { ...gathered, ...written(), holdings }
  const violations = check(evidence)
  const report = reportOn(options, evidence, violations, {
    startedMs,
    healedMs,
    calmMs,
    deaths: Object.fromEntries([...topology.puppets.all].map(([name, { unasked }]) => [name, unasked])),
  })
  await keepProof(options.folder, topology, { home, report, evidence })
  return report
}

/** Clients and faults beside each other, for as long as was asked. */
async function wreak(
  options: ChaosOptions,
  workload: Workload,
  faults: Faults,
  random: Random,
): Promise<void> {
  const forMs = options.minutes * 60_000
  const over = AbortSignal.any([options.signal, AbortSignal.timeout(forMs)])
  await Promise.all([workload.run(over), faults.carryOut(planFaults(random.fork('plan'), forMs), over)])
  options.signal.throwIfAborted()
}

/** Waits until every wish is carried out, nothing runs any more and the tables show it; bounded. */
async function calm(
  options: ChaosOptions,
  topology: Topology,
  evidenceOf: (now: Gathered) => Evidence,
): Promise<Gathered> {
  const untilMs = Date.now() + CALM_MS
  for (;;) {
    options.signal.throwIfAborted()
    const now = await eventually(CALM_MS, () => gather(topology))
    const open: Violation[] = unsettled(evidenceOf(now))
    const living = jobsOf(now.ledger).filter(({ endedMs }) => endedMs === null).length
    options.say(`${living} jobs live, ${open.length} things are not settled`)
    if ((open.length === 0 && living === 0) || Date.now() > untilMs) return now
    await sleep(CALM_CHECK_MS)
  }
}

/** Living processes that were started with this folder in their environment. */
function processesIn(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder)
      } catch {
        return false
      }
    })
}
