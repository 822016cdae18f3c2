import { setTimeout as sleep } from 'node:timers/promises'
import type { BareState } from '../bare/messages.ts'
import { BARE_TASK_QUEUE, Desk, type Part } from '../desk.ts'
import { create, forEachOf, range } from '../experiments.ts'
import { rssMiBOf } from '../machine.ts'
import { type Pair, slope } from '../report.ts'
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
    const pairs: Pair[] = []
    for (const round of range(Math.min(bench.pairs, ROUNDS_MAX))) {
      // A new desk each time: what a worker has once taken it seldom gives back.
      const desk = await Desk.start({ pollIntervalMs: 10_000, bareWorkers: 1, tidyWorkers: true })
      try {
        const value = await growth(desk, 'worker', async (from, count) => {
          await create(desk, { prefix: 'cached', from, count })
        })
        const baseline = await growth(desk, 'bare', (from, count) => startBare(desk, from, count))
        pairs.push({ value, baseline })
        bench.say(`  round ${round + 1}: ${value.toFixed(3)} MiB against ${baseline.toFixed(3)} MiB`)
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
      more: {},
    }
    return [note(described, pairs)]
  },
}

async function startBare(desk: Desk, from: number, count: number): Promise<void> {
  const start: BareState = { desired: 'STOPPED', generation: 0, flags: { seed: 1, lr: 0.001 } }
  await forEachOf(range(count), async (index) => {
    const id = `bare-${from + index}`
    await desk.temporal.workflow.start('bareEntity', {
      taskQueue: BARE_TASK_QUEUE,
      workflowId: id,
      args: [start],
    })
  })
}

/** MiB for each workflow, as the slope of the line through all that was seen on the way. */
async function growth(
  desk: Desk,
  part: Part,
  add: (from: number, count: number) => Promise<void>,
): Promise<number> {
  const [pid] = desk.pids(part)
  if (pid === undefined) throw new Error(`no ${part} runs`)
  await add(0, WARM_UP)
  const points: Array<[number, number]> = [[WARM_UP, await lowestRss(pid)]]
  for (let count = WARM_UP; count < CACHED_MAX; count += STEP) {
    await add(count, STEP)
    points.push([count + STEP, await lowestRss(pid)])
  }
  return slope(points)
}

async function lowestRss(pid: number): Promise<number> {
  let lowest = Infinity
  for (let look = 0; look < LOOKS; look += 1) {
    await sleep(LOOK_MS)
    lowest = Math.min(lowest, rssMiBOf(pid))
  }
  return lowest
}
