import { setTimeout as sleep } from 'node:timers/promises'
import { BARE_TASK_QUEUE, type Desk } from '../desk.ts'
import { historyLengths, range } from '../experiments.ts'
import { median } from '../report.ts'
import { noteMachine, type Scenario } from '../scenario.ts'

const DAY_MS = 86_400_000

/** What a desk would write that polls from each workflow as often as this. */
const POLL_EVERY_MS = 30_000
const POLLERS = 5
const POLLS = 40

/** P4: events that a resting experiment writes into its history, against polling from inside the workflow. */
export const idleHistory: Scenario = {
  id: 'P4',
  title: 'events of a resting experiment, against polling inside the workflow',
  async run(bench) {
    const fleet = await bench.fleet()
    await fleet.growTo(bench.n)
    await fleet.untilQuiet()
    const note = noteMachine()
    const perPoll = await eventsPerPoll(fleet.desk)
    const running = fleet.workflowIds.slice(0, fleet.running)
    const before = await historyLengths(fleet.desk, running)
    const startedAtMs = performance.now()
    await sleep(bench.watchMs)
    const days = (performance.now() - startedAtMs) / DAY_MS
    const after = await historyLengths(fleet.desk, running)
    const events = after.reduce((sum, length, index) => sum + length - (before[index] ?? 0), 0)
    const baseline = perPoll * (DAY_MS / POLL_EVERY_MS)
    const described = {
      id: 'P4',
      what: 'events of a resting experiment a day',
      unit: 'events',
      against: 'a bare workflow that polls every 30 s',
      n: running.length,
      goal: 'at most 1 (0)',
      more: {
        'events seen': events,
        'experiment-days watched': days * before.length,
        // With no event seen, a higher rate than this would have shown at least one in 95 of 100 windows.
        'surely below': events === 0 ? 3 / (days * before.length) : 'not applicable',
        'events of a bare poll': perPoll,
      },
    }
    return [note(described, [{ value: events / (days * before.length), baseline }])]
  },
}

async function eventsPerPoll(desk: Desk): Promise<number> {
  const started = Math.round(performance.now())
  const each = range(POLLERS).map(async (index) => {
    const handle = await desk.temporal.workflow.start('barePoller', {
      taskQueue: BARE_TASK_QUEUE,
      workflowId: `bare-poller-${started}-${index}`,
      args: [POLLS],
    })
    await handle.result()
    return (await handle.describe()).historyLength / POLLS
  })
  return median(await Promise.all(each))
}
