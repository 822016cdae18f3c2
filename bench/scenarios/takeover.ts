import { setTimeout as sleep } from 'node:timers/promises'
import { ServiceError, type WorkflowHandle } from '@temporalio/client'
import { wishUpdates, workflowIdOf } from '../../workflows/definitions.ts'
import { bareSet, type BareState } from '../bare/messages.ts'
import { BARE_TASK_QUEUE, Desk } from '../desk.ts'
import { create, range } from '../experiments.ts'
import { until } from '../until.ts'
import { cpuMsOf } from '../machine.ts'
import { median, type Pair } from '../report.ts'
import { type Bench, noteMachine, type Scenario } from '../scenario.ts'

/** So many that some are surely in the cache of the worker that dies. */
const ENTITIES = 12

/** So long commands are sent before the worker dies, so that each workflow is in some cache. */
const WARM_UP_MS = 3_000

/** A workflow has been taken over once it has answered this often since. */
const ANSWERS_SINCE_MIN = 3

/** A pair takes most of a minute; more than these add little. */
const PAIRS_MAX = 3

const REFUSED_PAUSE_MS = 100
const REFUSED_MAX = 300
const TAKEN_OVER_WITHIN_MS = 60_000

type Command = (entity: number, turn: number) => Promise<unknown>

/** P17: how long commands wait when a worker is killed and another is there, against a workflow with default timeouts. */
export const takeover: Scenario = {
  id: 'P17',
  title: 'commands while a worker is killed, against default timeouts',
  async run(bench) {
    const note = noteMachine()
    const desk = await Desk.start({ pollIntervalMs: 10_000, workers: 2, bareWorkers: 2 })
    try {
      const experiments = await create(desk, { prefix: 'takeover', count: ENTITIES })
      const handles = experiments.map(({ id }) => desk.temporal.workflow.getHandle(workflowIdOf(id)))
      const ours: Command = async (entity, turn) =>
        handles[entity]?.executeUpdate(wishUpdates.setDesiredState, {
          args: [{ state: turn % 2 === 0 ? 'TERMINATED' : 'STOPPED', actor: 'bench' }],
        })
      const bare = await startBare(desk)
      const theirs: Command = async (entity) => bare[entity]?.executeUpdate(bareSet, { args: ['RUNNING'] })
      const { pairs, politeMs, refused } = await measure(bench, desk, { ours, theirs })
      const described = {
        id: 'P17',
        what: 'longest wait of a command after kill -9',
        unit: 'ms',
        against: 'a bare workflow with default timeouts and two workers',
        n: ENTITIES,
        goal: 'at most 3500 ms',
        more: { 'after a polite end, ms': median(politeMs), 'refused meanwhile': refused },
      }
      return [note(described, pairs)]
    } finally {
      await desk.stop()
    }
  },
}

async function startBare(desk: Desk): Promise<WorkflowHandle[]> {
  const start: BareState = { desired: 'STOPPED', generation: 0, flags: {} }
  return Promise.all(
    range(ENTITIES).map((index) =>
      desk.temporal.workflow.start('bareEntity', {
        taskQueue: BARE_TASK_QUEUE,
        workflowId: `bare-${index}`,
        args: [start],
      }),
    ),
  )
}

async function measure(
  { pairs, say }: Bench,
  desk: Desk,
  command: { ours: Command; theirs: Command },
): Promise<{ pairs: Pair[]; politeMs: number[]; refused: number }> {
  let refused = 0
  const found: Pair[] = []
  const politeMs: number[] = []
  for (const pair of range(Math.min(pairs, PAIRS_MAX))) {
    const ours = await longestWait(desk, 'worker', 'SIGKILL', command.ours)
    const theirs = await longestWait(desk, 'bare', 'SIGKILL', command.theirs)
    const polite = await longestWait(desk, 'worker', 'SIGTERM', command.ours)
    politeMs.push(polite.longestMs)
    refused += ours.refused + polite.refused
    found.push({ value: ours.longestMs, baseline: theirs.longestMs })
    say(`  pair ${pair + 1}: ${Math.round(ours.longestMs)} ms against ${Math.round(theirs.longestMs)} ms`)
  }
  return { pairs: found, politeMs, refused }
}

interface Wait {
  longestMs: number
  /** Commands that Temporal refused meanwhile, because a workflow task had timed out several times. */
  refused: number
}

/** Sends a command again while it is refused, as every client must. Returns how often it was. */
async function insist(command: () => Promise<unknown>): Promise<number> {
  for (let refused = 0; ; refused += 1) {
    try {
      await command()
      return refused
    } catch (error) {
      if (!(error instanceof ServiceError) || refused === REFUSED_MAX) throw error
      await sleep(REFUSED_PAUSE_MS)
    }
  }
}

/**
 * Sends each workflow one command after the other, ends one of two workers, and returns the longest time that any
 * command took which was under way then or came later. The supervisor starts the worker again by itself.
 */
async function longestWait(
  desk: Desk,
  part: 'worker' | 'bare',
  signal: NodeJS.Signals,
  command: Command,
): Promise<Wait> {
  const stop = new AbortController()
  let endedAtMs = Infinity
  const since = range(ENTITIES).map(() => 0)
  let longestMs = 0
  let refused = 0
  const sender = async (entity: number): Promise<void> => {
    for (let turn = 0; !stop.signal.aborted; turn += 1) {
      const sentAtMs = performance.now()
      const times = await insist(() => command(entity, turn))
      refused += times
      const nowMs = performance.now()
      if (nowMs < endedAtMs) continue
      since[entity] = (since[entity] ?? 0) + 1
      longestMs = Math.max(longestMs, nowMs - Math.max(sentAtMs, endedAtMs))
    }
  }
  const senders = Promise.all(range(ENTITIES).map(sender))
  // Awaited at the end; until then a failure must not count as one that nobody looks at.
  senders.catch(() => undefined)
  const before = desk.pids(part).map((pid) => ({ pid, cpuMs: cpuMsOf(pid) }))
  await sleep(WARM_UP_MS)
  // One that was started again a moment ago holds few workflows, and nobody would miss it.
  const [victim] = before
    .map(({ pid, cpuMs }) => ({ pid, workedMs: cpuMsOf(pid) - cpuMs }))
    .toSorted((a, b) => b.workedMs - a.workedMs)
  if (victim === undefined) throw new Error(`no ${part} runs`)
  endedAtMs = performance.now()
  process.kill(victim.pid, signal)
  try {
    await until(TAKEN_OVER_WITHIN_MS, 'every workflow answers again', async () =>
      since.every((answers) => answers >= ANSWERS_SINCE_MIN),
    )
  } finally {
    stop.abort()
  }
  await senders
  await until(TAKEN_OVER_WITHIN_MS, `two of ${part} run again`, async () => desk.pids(part).length >= 2)
  // The one that was started again must be at work before the next one is ended.
  await desk.untilPolling(part)
  return { longestMs, refused }
}
