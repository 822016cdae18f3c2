import { setTimeout as sleep } from 'node:timers/promises'
import { bareState, type BareState } from '../bare/messages.ts'
import { BARE_TASK_QUEUE, Desk, type Part } from '../desk.ts'
import { create, forEachOf, range } from '../experiments.ts'
import { heapMiBOf } from '../heaps.ts'
import { rssMiBOf } from '../machine.ts'
import { median, type Pair, slope } from '../report.ts'
import { noteMachine, type Scenario } from '../scenario.ts'

/** The first ones bring in code and buffers, which are no part of the slope. */
const WARM_UP = 100

/** A worker keeps 1,000 workflows at most, so fewer are created in each round. */
const CACHED_MAX = 900
const STEP = 100

/** A worker's memory rises between two collections. The lowest of some looks is nearest to what is kept. */
const LOOKS = 6
const LOOK_MS = 500

/** Rounds are long; more than these add little. */
const ROUNDS_MAX = 2

/** P12: memory of the worker for each workflow in its cache, against bare workflows in a worker of the same settings. */
export const cacheMemory: Scenario = {
  id: 'P12',
  title: 'memory for each cached workflow, against bare ones',
  async run(bench) {
    const note = noteMachine()
    const rounds: Array<{ ours: Growth; theirs: Growth }> = []
    for (const round of range(Math.min(bench.pairs, ROUNDS_MAX))) {
      // A new desk each time: what a worker has once taken it seldom gives back.
      const desk = await Desk.start({ pollIntervalMs: 10_000, bareWorkers: 1, tidyWorkers: true })
      try {
        const ours = await growth(desk, 'worker', async (from, count) => {
          await create(desk, { prefix: 'cached', from, count })
        })
        const theirs = await growth(desk, 'bare', (from, count) => startBare(desk, from, count))
        rounds.push({ ours, theirs })
        bench.say(`  round ${round + 1}: ${sayGrowth(ours)} against ${sayGrowth(theirs)}`)
      } finally {
        await desk.stop()
      }
    }
    const described = {
      id: 'P12',
      what: 'worker memory for each cached workflow',
      unit: 'MiB',
      against: 'a bare workflow',
      n: CACHED_MAX,
      goal: 'at most 0.40 MiB and ratio at most 1.4',
      more: {
        'of it on the heaps MiB': median(rounds.map(({ ours }) => ours.heapMiB)),
        'bare on the heaps MiB': median(rounds.map(({ theirs }) => theirs.heapMiB)),
      },
    }
    const pairs = rounds.map(({ ours, theirs }): Pair => ({ value: ours.rssMiB, baseline: theirs.rssMiB }))
    return [note(described, pairs)]
  },
}

async function startBare(desk: Desk, from: number, count: number): Promise<void> {
  const start: BareState = { desired: 'STOPPED', generation: 0, flags: { seed: 1, lr: 0.001 } }
  await forEachOf(range(count), async (index) => {
    const id = `bare-${from + index}`
    const handle = await desk.temporal.workflow.start('bareEntity', {
      taskQueue: BARE_TASK_QUEUE,
      workflowId: id,
      args: [start],
    })
    // As ours, which answer once they are in the tables: otherwise far more of them are under way at once.
    await handle.query(bareState)
  })
}

/** MiB for each workflow. What is not on a heap depends on how much was under way at once as well. */
interface Growth {
  rssMiB: number
  heapMiB: number
}

const sayGrowth = ({ rssMiB, heapMiB }: Growth): string =>
  `${rssMiB.toFixed(3)} MiB (heaps ${heapMiB.toFixed(3)})`

/** The slopes of the lines through all that was seen on the way. */
async function growth(
  desk: Desk,
  part: Part,
  add: (from: number, count: number) => Promise<void>,
): Promise<Growth> {
  const [pid] = desk.pids(part)
  if (pid === undefined) throw new Error(`no ${part} runs`)
  await add(0, WARM_UP)
  const points = [{ count: WARM_UP, ...(await lowest(desk, pid)) }]
  for (let count = WARM_UP; count < CACHED_MAX; count += STEP) {
    await add(count, STEP)
    points.push({ count: count + STEP, ...(await lowest(desk, pid)) })
  }
  return {
    rssMiB: slope(points.map(({ count, rssMiB }) => [count, rssMiB])),
    heapMiB: slope(points.map(({ count, heapMiB }) => [count, heapMiB])),
  }
}

async function lowest(desk: Desk, pid: number): Promise<Growth> {
  const least: Growth = { rssMiB: Infinity, heapMiB: Infinity }
  for (let look = 0; look < LOOKS; look += 1) {
    await sleep(LOOK_MS)
    least.rssMiB = Math.min(least.rssMiB, rssMiBOf(pid))
    least.heapMiB = Math.min(least.heapMiB, heapMiBOf(desk.home, pid))
  }
  return least
}
