import { type Experiment } from '../../core/experiment.ts'
import type { Wish } from '../../core/accept.ts'
import type { Context } from './context.ts'
import type { Random } from './random.ts'

/** Things that no client of ours would ever send. */
const GARBAGE: readonly unknown[] = [
  null,
  {},
  [],
  'running',
  { state: 'PAUSED' },
  { state: 'RUNNING', ifRevision: 'x' },
  { spec: { nodes: -1 } },
  { spec: { flags: [] }, policy: { priority: 9 } },
  { undecodable: true },
  { jobId: -1 },
  7,
]

const RESTART = {
  when: 'on-failure',
  maxRestarts: 5,
  backoffMs: 2_000,
  backoffMaxMs: 60_000,
  healthyMs: 120_000,
}
const POLICIES: readonly unknown[] = [
  { restart: { when: 'never' } },
  { restart: RESTART },
  { restart: { ...RESTART, when: 'always' } },
  { maxRunMs: 300_000 },
  { maxRunMs: null, maxAgeMs: null },
  { maxAgeMs: 1_200_000 },
  { drift: 'heal' },
  { drift: 'stop' },
  { drift: 'ask' },
  { autostopMinutes: 5 },
  { autostopMinutes: null },
  { priority: 1 },
]

/** What a person may want next. */
export function anyWish(random: Random): Wish {
  const dice = random.int(1, 100)
  if (dice <= 40) return { kind: 'setDesiredState', value: { state: 'RUNNING', actor: 'ann' } }
  if (dice <= 58) return { kind: 'setDesiredState', value: 'STOPPED' }
  if (dice <= 72) return { kind: 'setDesiredState', value: { state: 'TERMINATED', reason: 'enough' } }
  if (dice <= 76) return { kind: 'cancelJob', value: {} }
  if (dice <= 80) return { kind: 'setFlags', value: { lr: random.unit() } }
  if (dice <= 87) return { kind: 'edit', value: { spec: {}, policy: random.pick(POLICIES) } }
  if (dice <= 90)
    return { kind: 'edit', value: { spec: { executor: random.pick(['managed', 'cluster'] as const) } } }
  if (dice <= 92) return { kind: 'hold', value: { actor: 'bob' } }
  if (dice <= 98) return { kind: 'release', value: {} }
  return { kind: random.pick(['delete', 'undelete'] as const), value: {} }
}

export const garbageWish = (random: Random): Wish => ({
  kind: random.pick(['setDesiredState', 'setFlags', 'edit', 'adopt', 'confirmGone', 'hold'] as const),
  value: random.pick(GARBAGE),
})

/** Observations that are broken, of somebody else, or of a job that cannot be. */
export function garbageFacts(random: Random, state: Experiment, { engine }: Context): unknown {
  const observation = {
    jobId: 9_000_000 + random.int(1, 9),
    jobName: `other-${state.id + 1}.1.1`,
    clusterName: null,
    status: 'RUNNING',
    scheduleState: 'ALIVE',
    details: null,
    failureReason: null,
    submittedAtMs: null,
    startedAtMs: null,
    endedAtMs: null,
    recoveries: 0,
    seenAtMs: engine.nowMs,
  }
  const identity = { experimentId: state.id + 1, name: 'other', run: 1, attempt: 1 }
  return random.pick<unknown>([
    {},
    [{ kind: 'observed' }],
    [{ kind: 'observed', identity, observation: { ...observation, status: null } }],
    [{ kind: 'observed', identity, observation }],
    [{ kind: 'vanished', jobId: 9_000_001, jobName: 'other-9.1.1', atMs: engine.nowMs }],
    [{ kind: 'clusterAbsent', name: 'other', seenAtMs: engine.nowMs }],
    [{ kind: 'jobFound', jobId: 1, atMs: 1 }],
    [null],
  ])
}
