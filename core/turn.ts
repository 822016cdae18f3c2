import { type Experiment, record } from './experiment.ts'
import type { Envelope } from './receipt.ts'
import type { DesiredState } from './spec.ts'

/** Changes what is wanted. RUNNING begins a new run, with all counts of the last one forgotten. */
export function turn(
  state: Experiment,
  wanted: DesiredState,
  by: Envelope,
  atMs: number,
  said?: { kind: string; text: string },
): Experiment {
  const generation = state.desired.generation + 1
  const isStart = wanted === 'RUNNING'
  const run = isStart ? state.run + 1 : state.run
  const fresh = isStart ? { run, runSinceMs: atMs, quickFailures: 0, restarts: 0, closing: null } : {}
  const cluster = state.cluster && { ...state.cluster, refused: null }
  const next = {
    ...state,
    ...fresh,
    cluster,
    trouble: null,
    desired: { state: wanted, generation, ...by, atMs },
  }
  const text = `${state.desired.state} → ${wanted}${by.reason ? `: ${by.reason}` : ''}`
  const detail = { from: state.desired.state, to: wanted, generation, run }
  return record(next, { atMs, actor: by.actor, detail, ...(said ?? { kind: 'desired', text }) })
}
