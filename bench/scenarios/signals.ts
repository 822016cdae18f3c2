import type { ExperimentInfo } from '../../sdk/client.ts'
import { workflowIdOf } from '../../workflows/definitions.ts'
import type { CountedJob } from '../counting-skypilot.ts'
import type { Desk } from '../desk.ts'
import { forEachOf, historyLengths } from '../experiments.ts'
import type { Fleet } from '../fleet.ts'
import type { Result } from '../report.ts'
import { noteMachine, type Scenario } from '../scenario.ts'

/** What a job goes through between two looks. A desk that told every change would send as many messages. */
const CHANGES: ReadonlyArray<Partial<CountedJob>> = [
  { status: 'RECOVERING', recovery_count: 100 },
  { status: 'STARTING', recovery_count: 101 },
  { status: 'RECOVERING', recovery_count: 101 },
]

/** Looks that must pass before the messages are counted: one that tells, and some that must not tell again. */
const ROUNDS = 3

const WATCHED_MAX = 1_000

/** P10: messages that one look sends for k experiments that changed. */
export const signals: Scenario = {
  id: 'P10',
  title: 'messages that a look sends, by the number of experiments that changed',
  async run(bench) {
    const fleet = await bench.fleet()
    await fleet.growTo(bench.n)
    await fleet.untilQuiet()
    const results: Result[] = []
    for (const k of new Set([0, 1, 10, Math.max(1, Math.round(fleet.running / 100))])) {
      const note = noteMachine()
      const { told, others } = await tell(fleet, k)
      bench.say(`  ${k} changed: ${told} messages to them, ${others} events of others`)
      const described = {
        id: 'P10',
        what: `messages of a look when ${k} changed`,
        unit: 'messages',
        against: 'the changes that happened meanwhile',
        n: fleet.experiments.length,
        goal: `at most ${k}`,
        more: { 'events of experiments that did not change': others },
      }
      results.push(note(described, [{ value: told, baseline: k * CHANGES.length }]))
    }
    return results
  },
}

/** Changes the jobs of k experiments between two looks and counts who was told. */
async function tell(fleet: Fleet, k: number): Promise<{ told: number; others: number }> {
  const { desk, experiments } = fleet
  const touched = experiments.slice(0, k)
  const untouched = experiments.slice(k, k + WATCHED_MAX).map(({ id }) => workflowIdOf(id))
  const lengths = await historyLengths(desk, untouched)
  const before = await signalsTo(desk, touched)
  await fleet.across(ROUNDS, () => {
    for (const change of CHANGES) for (const job of jobsOf(fleet, touched)) desk.skypilot.change(job, change)
    return () => undefined
  })
  await fleet.untilQuiet()
  const told = (await signalsTo(desk, touched)) - before
  const after = await historyLengths(desk, untouched)
  for (const job of jobsOf(fleet, touched)) desk.skypilot.change(job, { status: 'RUNNING' })
  await fleet.sweeps(2)
  await fleet.untilQuiet()
  return { told, others: after.reduce((sum, length, index) => sum + length - (lengths[index] ?? 0), 0) }
}

const jobsOf = ({ desk }: Fleet, experiments: readonly ExperimentInfo[]): CountedJob[] =>
  experiments.flatMap(({ name, id }) => desk.skypilot.byName.get(`${name}-${id}.1.1`) ?? [])

async function signalsTo(desk: Desk, experiments: readonly ExperimentInfo[]): Promise<number> {
  let count = 0
  await forEachOf(experiments, async ({ id }) => {
    const { events } = await desk.temporal.workflow.getHandle(workflowIdOf(id)).fetchHistory()
    count += (events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes).length
  })
  return count
}
