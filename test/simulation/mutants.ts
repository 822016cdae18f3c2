import type { Experiment } from '../../core/experiment.ts'
import type { Fact } from '../../core/facts.ts'
import { isRecord } from '../../core/spec.ts'
import type { Context } from './context.ts'

type Evolve = (state: Experiment, fact: Fact) => Experiment

/** The core's `evolve` without the protections that are switched off. With all of them on it is the core's own. */
export function weakened({ protections, engine }: Context, evolve: Evolve): Evolve {
  return (state, fact) => {
    let before = state
    let given = fact
    if (!protections.staleGuard) given = madeNew(given, engine.nowMs)
    if (!protections.verdictKept) before = withoutVerdict(before, given)
    const next = evolve(before, given)
    return protections.ownership ? next : withForeignAsOurs(next)
  }
}

/** As if it had been seen this instant, whenever it was. */
function madeNew(fact: Fact, nowMs: number): Fact {
  if (fact.kind === 'observed') return { ...fact, observation: { ...fact.observation, seenAtMs: nowMs } }
  if (fact.kind === 'vanished') return { ...fact, atMs: nowMs }
  if (fact.kind === 'clusterSeen') return { ...fact, cluster: { ...fact.cluster, seenAtMs: nowMs } }
  return fact.kind === 'clusterAbsent' ? { ...fact, seenAtMs: nowMs } : fact
}

/** The last word counts instead of the first. */
function withoutVerdict(state: Experiment, fact: Fact): Experiment {
  const { attempt } = state
  if (fact.kind !== 'observed' || attempt?.progress.phase !== 'active') return state
  return { ...state, attempt: { ...attempt, progress: { ...attempt.progress, verdict: null } } }
}

/** Everything that has our name is ours to end. */
const withForeignAsOurs = (state: Experiment): Experiment =>
  state.foreign.length === 0
    ? state
    : {
        ...state,
        foreign: [],
        strays: [...state.strays, ...state.foreign.map((job) => ({ ...job, asks: 0, askedAtMs: 0 }))],
      }

/** A state that forgot on its way what may still be running. */
export const amputated = (carried: unknown): unknown =>
  isRecord(carried) ? { ...carried, attempt: null, strays: [] } : carried
