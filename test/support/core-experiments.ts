import type { Pool } from 'pg'
import { accept, type Wish } from '../../core/accept.ts'
import { evolve } from '../../core/evolve.ts'
import { born, type Experiment } from '../../core/experiment.ts'
import type { Fact } from '../../core/facts.ts'
import type { Receipt } from '../../core/receipt.ts'
import { snapshotOf } from '../../core/snapshot.ts'
import { ControlUnavailable, type Experiments } from '../../sdk/experiments.ts'
import type { RestoreExperiment } from '../../sdk/start.ts'
import { project } from '../../store/project.ts'
import type { Orphan } from '../../workflows/definitions.ts'

export interface CoreExperiments {
  experiments: Experiments
  /** The states by id; one that is taken out is a workflow that has ended. */
  states: Map<number, Experiment>
  restored: RestoreExperiment[]
  ended: Orphan[]
  /** Lets a fact happen to an experiment. */
  learn(id: number, ...facts: Fact[]): Promise<void>
  /** While true, it is as if Temporal were away. */
  isAway: boolean
}

/** Experiments that live in memory by the real rules, and are projected at once: everything of a desk but Temporal. */
export function coreExperiments(db: Pool): CoreExperiments {
  const states = new Map<number, Experiment>()

  async function keep(state: Experiment): Promise<void> {
    states.set(state.id, state)
    await project(db, snapshotOf(state, Date.now()))
  }

  async function wish(id: number, kind: Wish['kind'], value: unknown): Promise<Receipt> {
    if (desk.isAway) throw new ControlUnavailable('Temporal did not answer; nothing is lost, ask again')
    const state = states.get(id)
    if (!state) return { accepted: false, reason: 'the experiment is not there any more' }
    const [next, receipt] = accept(state, { kind, value }, Date.now())
    await keep(next)
    return receipt
  }

  const desk: CoreExperiments = {
    states,
    restored: [],
    ended: [],
    isAway: false,
    async learn(id, ...facts) {
      for (const fact of facts) await keep(evolve(states.get(id)!, fact))
    },
    experiments: {
      async start(given) {
        if (desk.isAway) throw new ControlUnavailable('Temporal did not answer; nothing is lost, ask again')
        if (states.has(given.id)) return false
        const atMs = Date.now()
        const value = { state: given.desiredState, actor: given.actor }
        const [state] = accept(born({ ...given, atMs }), { kind: 'setDesiredState', value }, atMs)
        await keep(state)
        return true
      },
      setDesiredState: (id, state, by) => wish(id, 'setDesiredState', { state, ...by }),
      setFlags: (id, flags, by) => wish(id, 'setFlags', { flags, ...by }),
      edit: (id, change, by) => wish(id, 'edit', { ...change, ...by }),
      hold: (id, by) => wish(id, 'hold', by),
      release: (id, by) => wish(id, 'release', by),
      confirmGone: (id, by) => wish(id, 'confirmGone', by),
      adopt: (id, what, by) => wish(id, 'adopt', { ...what, ...by }),
      delete: (id, by) => wish(id, 'delete', by),
      undelete: (id, by) => wish(id, 'undelete', by),
      async restore(given) {
        if (desk.isAway) throw new ControlUnavailable('Temporal did not answer; nothing is lost, ask again')
        desk.restored.push(given)
        const fresh = born({ ...given, atMs: Date.now() })
        await keep({ ...fresh, owner: given.owner, run: given.run, revision: given.revision + 1, events: [] })
      },
      endOrphan: (orphan) => Promise.resolve(void desk.ended.push(orphan)),
      state: (id) => Promise.resolve(states.get(id)),
      refresh: () => Promise.resolve(),
    },
  }
  return desk
}
