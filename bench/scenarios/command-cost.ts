import { setTimeout as sleep } from 'node:timers/promises'
import { BARE_TASK_QUEUE, Desk, type Part } from '../desk.ts'
import { bareSet, type BareState } from '../bare/messages.ts'
import { create, range } from '../experiments.ts'
import { median, type Pair, quantile } from '../report.ts'
import { type Bench, noteMachine, type Scenario } from '../scenario.ts'
import { aboveRest, type Usage, watchUsage } from '../usage.ts'

const ENTITIES = 20
const OPERATIONS = 100
const WARM_UP = 60
const REST_MS = 4_000

/** What follows an answer (the tables, the worker's reports) belongs to its cost. */
const TRAIL_MS = 1_000

const DESK_PARTS: readonly Part[] = ['web', 'worker', 'temporal', 'postgres']
const BARE_PARTS: readonly Part[] = ['bench', 'bare', 'temporal', 'postgres']

interface Batch {
  cpuMsEach: number
  usage: Usage
  latenciesMs: number[]
}

/** P1: what a wish costs on its whole way, against the smallest update that Temporal can do. */
export const commandCost: Scenario = {
  id: 'P1',
  title: 'what a wish costs, against a bare update',
  async run(bench) {
    const note = noteMachine()
    const desk = await Desk.start({ pollIntervalMs: 10_000, bareWorkers: 1 })
    try {
      const wish = await wishes(desk)
      const update = await bareUpdates(desk)
      const [pairs, all] = await compare(bench, desk, wish, update)
      const ms = (batches: Batch[], q: number) =>
        quantile(
          batches.flatMap(({ latenciesMs }) => latenciesMs),
          q,
        )
      const described = {
        id: 'P1',
        what: 'CPU of a wish over HTTP',
        unit: 'ms',
        against: 'a bare executeUpdate, its client included',
        n: ENTITIES,
        goal: 'ratio at most 1.8',
        more: {
          'operations of each kind': bench.pairs * OPERATIONS,
          'wish p50 ms': ms(all.desk, 0.5),
          'wish p99 ms': ms(all.desk, 0.99),
          'bare p50 ms': ms(all.bare, 0.5),
          'bare p99 ms': ms(all.bare, 0.99),
          ...split('wish', all.desk, DESK_PARTS),
          ...split('bare', all.bare, BARE_PARTS),
        },
      }
      return [note(described, pairs)]
    } finally {
      await desk.stop()
    }
  },
}

type Operation = (index: number) => Promise<unknown>

/** Between STOPPED and TERMINATED nothing is launched or cancelled, so what is measured is the wish alone. */
async function wishes(desk: Desk): Promise<Operation> {
  const experiments = await create(desk, { prefix: 'command', count: ENTITIES })
  const sdk = desk.client('bench')
  return (index) => {
    const id = experiments[index % ENTITIES]?.id ?? 0
    return sdk.setDesiredState(id, Math.floor(index / ENTITIES) % 2 === 0 ? 'TERMINATED' : 'STOPPED')
  }
}

async function bareUpdates(desk: Desk): Promise<Operation> {
  const start: BareState = { desired: 'STOPPED', generation: 0, flags: { seed: 1, lr: 0.001 } }
  const handles = await Promise.all(
    range(ENTITIES).map((index) =>
      desk.temporal.workflow.start('bareEntity', {
        taskQueue: BARE_TASK_QUEUE,
        workflowId: `bare-${index}`,
        args: [start],
      }),
    ),
  )
  return async (index) =>
    handles[index % ENTITIES]?.executeUpdate(bareSet, { args: [index % 2 === 0 ? 'TERMINATED' : 'STOPPED'] })
}

async function compare(
  { pairs, say }: Bench,
  desk: Desk,
  wish: Operation,
  update: Operation,
): Promise<[Pair[], { desk: Batch[]; bare: Batch[] }]> {
  for (const operation of [wish, update]) for (const index of range(WARM_UP)) await operation(index)
  const found: Pair[] = []
  const all = { desk: [] as Batch[], bare: [] as Batch[] }
  // The index goes on, so that each wish is a change.
  let from = WARM_UP
  for (const pair of range(pairs)) {
    const ours = await batch(desk, DESK_PARTS, wish, from)
    const theirs = await batch(desk, BARE_PARTS, update, from)
    from += OPERATIONS
    all.desk.push(ours)
    all.bare.push(theirs)
    found.push({ value: ours.cpuMsEach, baseline: theirs.cpuMsEach })
    say(`  pair ${pair + 1}: ${ours.cpuMsEach.toFixed(1)} ms against ${theirs.cpuMsEach.toFixed(1)} ms`)
  }
  return [found, all]
}

/** One after the other; what the processes use at rest is taken off. */
async function batch(desk: Desk, parts: readonly Part[], operation: Operation, from: number): Promise<Batch> {
  const resting = watchUsage(desk, parts)
  await sleep(REST_MS)
  const rest = resting()
  const working = watchUsage(desk, parts)
  const latenciesMs: number[] = []
  for (const index of range(OPERATIONS)) {
    const startedAtMs = performance.now()
    await operation(from + index)
    latenciesMs.push(performance.now() - startedAtMs)
  }
  await sleep(TRAIL_MS)
  const usage = aboveRest(working(), rest)
  return { cpuMsEach: usage.cpuMs / OPERATIONS, usage, latenciesMs }
}

/** Where the time went, for each operation. */
function split(name: string, batches: readonly Batch[], parts: readonly Part[]): Record<string, number> {
  const each = (part: Part) => median(batches.map(({ usage }) => (usage.byPart.get(part) ?? 0) / OPERATIONS))
  return Object.fromEntries(parts.map((part) => [`${name} ${part} ms`, each(part)]))
}
