import {
  allHandlersFinished,
  condition,
  continueAsNew,
  proxyActivities,
  setHandler,
  sleep,
  workflowInfo,
} from '@temporalio/workflow'
import type { BareActivities } from './activities.ts'
import { barePoke, bareSet, type BareState, bareState } from './messages.ts'

const { look, post } = proxyActivities<BareActivities>({ startToCloseTimeout: '1m' })

/** The smallest entity workflow: what any desk on Temporal pays for a command. */
export async function bareEntity(start: BareState): Promise<void> {
  const state = start
  setHandler(bareSet, (desired) => {
    state.desired = desired
    state.generation += 1
    return state.generation
  })
  setHandler(barePoke, (desired) => {
    state.desired = desired
  })
  setHandler(bareState, () => state)
  await condition(() => workflowInfo().continueAsNewSuggested)
  await condition(allHandlersFinished)
  await continueAsNew<typeof bareEntity>(state)
}

/** Watches the world from inside a workflow, as a desk without an observer would: a timer and an activity each time. */
export async function barePoller(polls: number): Promise<void> {
  for (let poll = 0; poll < polls; poll += 1) {
    await sleep('50ms')
    await look()
  }
}

/** The shortest way from a command to the outside: one update, one activity that posts. */
export async function bareLauncher(): Promise<void> {
  let address: string | undefined
  setHandler(bareSet, (to) => {
    address = to
    return 1
  })
  await condition(() => address !== undefined)
  await post(address ?? '')
}
