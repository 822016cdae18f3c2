import { decide } from './decide.ts'
import { evolve } from './evolve.ts'
import type { Experiment } from './experiment.ts'
import { explain } from './explain.ts'
import type { Fact } from './facts.ts'

/** Takes facts in, and brings what people are told up to the result. */
export const advance = (state: Experiment, facts: readonly Fact[], nowMs: number): Experiment =>
  retold(facts.reduce(evolve, state), nowMs)

/** Brings what people are told up to the state and the clock; nothing changes when they know it already. */
export function retold(given: Experiment, nowMs: number): Experiment {
  const state = withoutOldTrouble(given, nowMs)
  const { headline, why } = explain(state, nowMs)
  return evolve(state, { kind: 'told', headline, why, atMs: nowMs })
}

/** That something failed is no trouble any more when nothing is left to be tried again. */
function withoutOldTrouble(state: Experiment, nowMs: number): Experiment {
  if (state.trouble === null) return state
  const calmed = { ...state, trouble: null, revision: state.revision + 1 }
  return decide(calmed, nowMs).kind === 'wait' ? calmed : state
}
