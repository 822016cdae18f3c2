import { setTimeout as sleep } from 'node:timers/promises'
import type { ExperimentInfo } from '../../sdk/client.ts'
import { bareSet } from '../bare/messages.ts'
import { BARE_TASK_QUEUE, Desk } from '../desk.ts'
import { create, forEachOf, insistently, range } from '../experiments.ts'
import { median, type Pair, quantile } from '../report.ts'
import { type Bench, noteMachine, type Scenario } from '../scenario.ts'
import { until } from '../until.ts'

const LAUNCHES = 15
const WARM_UP = 5

/** Between two launches, so that each finds a free slot. */
const PAUSE_MS = 200

const LAUNCHED_WITHIN_MS = 120_000

/** One person queues this many, and then another wants one. */
const QUEUED_MAX = 100

/** How long SkyPilot works on a launch while the queue is looked at. */
const SLOT_MS = 1_000

/** P25: from a wish to the request that reaches SkyPilot, against one bare update followed by one activity. */
export const launchPipeline: Scenario = {
  id: 'P25',
  title: 'from a wish to the launch, against a bare update and activity',
  async run(bench) {
    const note = noteMachine()
    const desk = await Desk.start({ pollIntervalMs: 10_000, bareWorkers: 1 })
    try {
      const { pairs, ours, theirs } = await measure(bench, desk)
      const fair = await fairness(desk, Math.min(bench.n, QUEUED_MAX))
      const described = {
        id: 'P25',
        what: 'median time from a wish to the launch request',
        unit: 'ms',
        against: 'a bare update and the activity that posts',
        n: pairs.length * LAUNCHES,
        goal: 'at most 250 ms; the first job of another person within 2 slot times',
        more: {
          'p99 ms': quantile(ours, 0.99),
          'bare p99 ms': quantile(theirs, 0.99),
          ...fair,
        },
      }
      return [note(described, pairs)]
    } finally {
      await desk.stop()
    }
  },
}

async function measure(
  bench: Bench,
  desk: Desk,
): Promise<{ pairs: Pair[]; ours: number[]; theirs: number[] }> {
  const experiments = await create(desk, { prefix: 'launch', count: WARM_UP + bench.pairs * LAUNCHES })
  let next = 0
  const launchMine = async (): Promise<number> => wishToLaunch(desk, experiments[next++])
  let nextBare = 0
  const launchBare = (): Promise<number> => bareToPost(desk, nextBare++)
  await repeat(WARM_UP, launchMine)
  await repeat(WARM_UP, launchBare)
  const found: Pair[] = []
  const all = { ours: [] as number[], theirs: [] as number[] }
  for (const pair of range(bench.pairs)) {
    const ours = await repeat(LAUNCHES, launchMine)
    const theirs = await repeat(LAUNCHES, launchBare)
    all.ours.push(...ours)
    all.theirs.push(...theirs)
    found.push({ value: median(ours), baseline: median(theirs) })
    bench.say(`  pair ${pair + 1}: ${median(ours).toFixed(0)} ms against ${median(theirs).toFixed(0)} ms`)
  }
  return { pairs: found, ...all }
}

async function repeat(times: number, work: () => Promise<number>): Promise<number[]> {
  const found: number[] = []
  for (let time = 0; time < times; time += 1) {
    found.push(await work())
    await sleep(PAUSE_MS)
  }
  return found
}

/** From the moment the wish is sent, because its answer waits for the tables and may come after the launch. */
async function wishToLaunch(desk: Desk, experiment: ExperimentInfo | undefined): Promise<number> {
  if (!experiment) throw new Error('there are not enough experiments')
  const sentAtMs = performance.now()
  await desk.client('bench').setDesiredState(experiment.id, 'RUNNING')
  return (await launchOf(desk, experiment)) - sentAtMs
}

/** When SkyPilot was asked for the first job of this experiment. */
async function launchOf(desk: Desk, { name, id }: ExperimentInfo): Promise<number> {
  const atMs = (): number | undefined => desk.skypilot.launchedAtMs.get(`${name}-${id}.1.1`)
  await until(LAUNCHED_WITHIN_MS, `${name} is launched`, async () => atMs() !== undefined)
  return atMs() ?? 0
}

async function bareToPost(desk: Desk, number: number): Promise<number> {
  const path = `/bench/post/${number}`
  const handle = await desk.temporal.workflow.start('bareLauncher', {
    taskQueue: BARE_TASK_QUEUE,
    workflowId: `bare-launcher-${number}`,
  })
  await sleep(PAUSE_MS)
  const sentAtMs = performance.now()
  await handle.executeUpdate(bareSet, { args: [desk.skypilot.url + path] })
  await handle.result()
  return (desk.skypilot.seenAtMs.get(path) ?? 0) - sentAtMs
}

/** One person wants very many, then another wants one: how long does that one wait, in the time of one launch? */
async function fairness(desk: Desk, queued: number): Promise<Record<string, number>> {
  const many = await create(desk, { prefix: 'many', count: queued, actor: 'ada' })
  const [one] = await create(desk, { prefix: 'one', count: 1, actor: 'grace' })
  if (!one) throw new Error('nothing was created')
  desk.skypilot.launchMs = SLOT_MS
  desk.skypilot.launchesInFlightMax = 0
  const ada = desk.client('ada')
  await forEachOf(many, async ({ id }) => {
    await insistently(() => ada.setDesiredState(id, 'RUNNING'))
  })
  const sentAtMs = performance.now()
  const launched = desk.skypilot.launchedAtMs
  const before = launched.size
  await insistently(() => desk.client('grace').setDesiredState(one.id, 'RUNNING'))
  const waitedMs = (await launchOf(desk, one)) - sentAtMs
  const ahead = launched.size - before
  await until(LAUNCHED_WITHIN_MS, 'all are launched', async () =>
    many.every(({ name, id }) => launched.has(`${name}-${id}.1.1`)),
  )
  desk.skypilot.launchMs = 0
  return {
    [`slot times another waited behind ${queued}`]: waitedMs / SLOT_MS,
    'launched before the other': ahead,
    'launches in flight at most': desk.skypilot.launchesInFlightMax,
  }
}
