import { isAside } from './decide-cluster.ts'
import {
  asideFailed,
  autostopAsked,
  autostopFailed,
  clusterAbsent,
  clusterAsked,
  clusterBusy,
  clusterRefused,
  clusterSeen,
} from './evolve-cluster.ts'
import { cancelAsked, foreignSeen, observed, vanished } from './evolve-job.ts'
import {
  abortAsked,
  intend,
  jobFound,
  launchRefused,
  launchRequested,
  launchUnsure,
  lookedEmpty,
  lookedMaking,
} from './evolve-launch.ts'
import { strayNotCancelled } from './evolve-stray.ts'
import { type Closing, type Experiment, record, type Stray, type Trouble } from './experiment.ts'
import type { Fact } from './facts.ts'
import { log, SYSTEM } from './progress.ts'

const RETRY_BASE_MS = 2_000
const RETRY_MAX_MS = 60_000

type FactOf = { readonly [F in Fact as F['kind']]: F }
type Taker<K extends Fact['kind']> = (state: Experiment, fact: FactOf[K]) => Experiment

/** How each kind of fact is taken in. */
const TAKERS: { readonly [K in Fact['kind']]: Taker<K> } = {
  launchIntended: (state, fact) => intend(state, fact.atMs),
  launchRequested,
  launchUnsure,
  abortAsked,
  launchRefused,
  lookedEmpty: (state, fact) => lookedEmpty(state, fact.atMs),
  lookedMaking: (state, fact) => lookedMaking(state, fact.atMs),
  jobFound: (state, fact) => jobFound(state, fact.jobId, fact.atMs),
  cancelAsked,
  observed: (state, fact) => observed(state, fact.identity, fact.observation),
  foreignSeen: (state, fact) => foreignSeen(state, fact.observation),
  vanished,
  clusterAsked,
  clusterRefused,
  autostopAsked,
  clusterSeen: (state, fact) => clusterSeen(state, fact.cluster),
  clusterAbsent: (state, fact) => clusterAbsent(state, fact.name, fact.seenAtMs),
  clusterBusy: (state, fact) => clusterBusy(state, fact.name, fact.atMs),
  concluded,
  told,
  actionFailed: failed,
  projected: (state, fact) => projected(state, fact.revision, fact.lastSeq),
}

const taken = <K extends Fact['kind']>(kind: K, state: Experiment, fact: FactOf[K]): Experiment =>
  TAKERS[kind](state, fact)

/** Takes a fact into the state. Total: a fact that no longer fits changes nothing. */
export const evolve = (state: Experiment, fact: Fact): Experiment => taken(fact.kind, state, fact)

function concluded(state: Experiment, fact: Extract<Fact, { kind: 'concluded' }>): Experiment {
  const { reason, atMs } = fact
  if (fact.conclusion === 'limit') {
    const closing: Closing = { status: 'LIMIT', reason, atMs }
    return log({ ...state, closing, trouble: null }, atMs, 'limit', `the run is over: ${reason}`)
  }
  if (state.desired.state !== 'RUNNING') return state
  const generation = state.desired.generation + 1
  const desired = { state: 'STOPPED', generation, actor: SYSTEM, reason, atMs } as const
  return record(
    { ...state, desired },
    {
      atMs,
      kind: 'desired',
      actor: SYSTEM,
      text: `RUNNING → STOPPED: ${reason}`,
      detail: { from: 'RUNNING', to: 'STOPPED', generation, run: state.run },
    },
  )
}

/** People are told something else now. No line in the log: what it comes from has one, or it is the clock. */
function told(state: Experiment, { headline, why, atMs }: Extract<Fact, { kind: 'told' }>): Experiment {
  if (state.told.headline === headline && state.told.why === why) return state
  const sinceMs = state.told.headline === headline ? state.told.sinceMs : atMs
  return { ...state, revision: state.revision + 1, told: { headline, why, sinceMs } }
}

type Failed = Extract<Fact, { kind: 'actionFailed' }>

function failed(state: Experiment, fact: Failed): Experiment {
  if (state.cluster && isAside(state, state.cluster) && OF_CLUSTER.has(fact.action))
    return asideFailed(state, state.cluster, fact)
  const { action, reason, job, atMs } = fact
  if (state.cluster && action === 'autostop') return autostopFailed(state, state.cluster, fact)
  const asked = job ? strayNotCancelled(state, job, atMs) : state
  const next = { ...asked, trouble: troubleOf(state, fact) }
  // The same trouble once more is no news for the log.
  return next.trouble.failures > 1 && state.trouble?.reason === reason
    ? { ...next, revision: state.revision + 1 }
    : log(next, atMs, 'action-failed', `${action} failed: ${reason}`)
}

/**
 * The failure is counted with those before it of the same action; of a cancel, with those of the same job, or of any job on
 * the same cluster, for they all go the same way to its machines. The pause grows with every failure in a row: two actions
 * that take turns at failing are no reason to hurry.
 */
function troubleOf({ trouble }: Experiment, { action, errorKind: kind, reason, job, atMs }: Failed): Trouble {
  const before = trouble?.action === action && isSameWay(trouble.job, job) ? trouble : null
  const failures = (before?.failures ?? 0) + 1
  const streak = (trouble?.kind == null ? 0 : (trouble.streak ?? trouble.failures)) + 1
  const retryAtMs = atMs + Math.min(RETRY_BASE_MS * 2 ** (streak - 1), RETRY_MAX_MS)
  const sinceMs = before?.sinceMs ?? atMs
  return { action, kind, reason, failures, streak, sinceMs, retryAtMs, ...(job ? { job } : {}) }
}

const OF_CLUSTER: ReadonlySet<string> = new Set(['cluster', 'lookAtCluster', 'autostop'])

const isSameWay = (one: Stray | undefined, other: Stray | undefined): boolean =>
  one?.clusterName === other?.clusterName && (one?.clusterName != null || one?.jobId === other?.jobId)

/** Postgres has everything up to here: forget what was kept for it. */
function projected(state: Experiment, revision: number, lastSeq: number): Experiment {
  return {
    ...state,
    projected: Math.max(state.projected, revision),
    events: state.events.filter((event) => event.seq > lastSeq),
    past: state.past.filter((attempt) => attempt.changedAt > revision),
  }
}
