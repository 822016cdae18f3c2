import { setTimeout as sleep } from 'node:timers/promises'
import type { ExperimentInfo } from '../../sdk/client.ts'
import { workflowIdOf } from '../../workflows/definitions.ts'
import { Desk } from '../desk.ts'
import { create, forEachOf, insistently, range, untilIn } from '../experiments.ts'
import { rssMiBOf } from '../machine.ts'
import { quantile } from '../report.ts'
import { type Bench, noteMachine, type Scenario } from '../scenario.ts'

/** Wishes that are under way at once while everything is set RUNNING. */
const AT_ONCE = 50

/** A reader comes this often, whether the one before has its answer or not. */
const READ_EVERY_MS = 100
const IDLE_MS = 15_000

/** How long SkyPilot works on each launch. */
const LAUNCH_MS = 500

/** Histories that are read afterwards to count tasks that timed out. */
const HISTORIES_MAX = 200

/** P26: everything is wanted RUNNING at once, while somebody goes on reading. */
export const startStorm: Scenario = {
  id: 'P26',
  title: 'all experiments are started at once while somebody reads',
  async run(bench) {
    const note = noteMachine()
    const desk = await Desk.start({ pollIntervalMs: bench.pollIntervalMs })
    try {
      const createdAtMs = performance.now()
      const experiments = await create(desk, { prefix: 'storm', count: bench.n })
      await untilIn(desk, 'idle', bench.n)
      bench.say(`  ${bench.n} were created in ${secondsSince(createdAtMs)} s`)
      const idle = await readFor(desk, experiments, () => sleep(IDLE_MS, 0))
      desk.skypilot.launchMs = LAUNCH_MS
      const watch = watchMemory(desk)
      const storm = await readFor(desk, experiments, () => setAllRunning(bench, desk, experiments))
      const tasks = await workflowTasks(desk, experiments)
      const described = {
        id: 'P26',
        what: 'p99 of reading during the storm',
        unit: 'ms',
        against: 'the same reading before the storm',
        n: bench.n,
        goal: 'ratio at most 5; no workflow task timeouts above 0.1 %; worker below 1300 MiB',
        more: {
          'p50 during ms': quantile(storm.latenciesMs, 0.5),
          'p50 before ms': quantile(idle.latenciesMs, 0.5),
          'reads that failed': idle.failed + storm.failed,
          'wishes sent again': storm.busy,
          'all running after s': storm.tookMs / 1_000,
          'launches in flight at most': desk.skypilot.launchesInFlightMax,
          'launches for each experiment': desk.skypilot.launchedAtMs.size / bench.n,
          'worker at most MiB': watch(),
          'workflow tasks that timed out %': (tasks.timedOut / Math.max(tasks.all, 1)) * 100,
          'of them answered too late %': (tasks.late / Math.max(tasks.all, 1)) * 100,
        },
      }
      const pair = {
        value: quantile(storm.latenciesMs, 0.99),
        baseline: quantile(idle.latenciesMs, 0.99),
      }
      return [note(described, [pair])]
    } finally {
      await desk.stop()
    }
  },
}

const secondsSince = (atMs: number): number => Math.round((performance.now() - atMs) / 1_000)

/** Returns how often a wish had to be sent again because Temporal was too busy. */
async function setAllRunning(
  bench: Bench,
  desk: Desk,
  experiments: readonly ExperimentInfo[],
): Promise<number> {
  let busy = 0
  const sdk = desk.client('bench')
  const startedAtMs = performance.now()
  await forEachOf(
    experiments,
    async ({ id }) => {
      await insistently(
        () => sdk.setDesiredState(id, 'RUNNING'),
        () => (busy += 1),
      )
    },
    AT_ONCE,
  )
  bench.say(`  all wishes were taken after ${secondsSince(startedAtMs)} s`)
  await untilIn(desk, 'running', experiments.length)
  bench.say(`  all run after ${secondsSince(startedAtMs)} s`)
  return busy
}

interface Reads {
  /** What the work returned. */
  busy: number
  latenciesMs: number[]
  failed: number
  tookMs: number
}

/**
 * Reads one experiment after the other until the work is done, each time at its hour: a reader who has to wait does
 * not keep the next one from coming, so slowness is not hidden.
 */
async function readFor(
  desk: Desk,
  experiments: readonly ExperimentInfo[],
  work: () => Promise<number>,
): Promise<Reads> {
  const reads: Reads = { busy: 0, latenciesMs: [], failed: 0, tookMs: 0 }
  const pending = new Set<Promise<void>>()
  let next = 0
  const timer = setInterval(() => {
    const id = experiments[next++ % experiments.length]?.id ?? 0
    const read = readOne(`${desk.url}/api/experiments/${id}`, reads).finally(() => pending.delete(read))
    pending.add(read)
  }, READ_EVERY_MS)
  const startedAtMs = performance.now()
  try {
    reads.busy = await work()
  } finally {
    clearInterval(timer)
  }
  reads.tookMs = performance.now() - startedAtMs
  await Promise.all(pending)
  return reads
}

async function readOne(address: string, reads: Reads): Promise<void> {
  const startedAtMs = performance.now()
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(30_000) })
    await answer.text()
    if (!answer.ok) reads.failed += 1
  } catch {
    reads.failed += 1
  }
  reads.latenciesMs.push(performance.now() - startedAtMs)
}

/** The most memory that the worker held from now on, in MiB. */
function watchMemory(desk: Desk): () => number {
  let most = 0
  const timer = setInterval(() => {
    for (const pid of desk.pids('worker')) most = Math.max(most, rssMiBOf(pid))
  }, 500)
  return () => {
    clearInterval(timer)
    return most
  }
}

/** Workflow tasks in the histories of some experiments, and those of them that timed out. */
async function workflowTasks(
  desk: Desk,
  experiments: readonly ExperimentInfo[],
): Promise<{ all: number; timedOut: number; late: number }> {
  const tasks = { all: 0, timedOut: 0, late: 0 }
  const every = Math.max(1, Math.floor(experiments.length / HISTORIES_MAX))
  const some = range(Math.floor(experiments.length / every)).flatMap(
    (index) => experiments[index * every] ?? [],
  )
  await forEachOf(some, async ({ id }) => {
    const { events } = await desk.temporal.workflow.getHandle(workflowIdOf(id)).fetchHistory()
    for (const event of events ?? []) {
      if (event.workflowTaskScheduledEventAttributes) tasks.all += 1
      const timeout = event.workflowTaskTimedOutEventAttributes
      if (!timeout) continue
      tasks.timedOut += 1
      // A worker took it and did not answer; the others were not taken by the worker that they were kept for.
      if ((timeout.startedEventId?.toNumber() ?? 0) > 0) tasks.late += 1
    }
  })
  return tasks
}
