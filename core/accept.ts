import { acceptAdoption } from './accept-adoption.ts'
import { acceptEdit, acceptFlags } from './accept-edit.ts'
import { type Experiment, liveAttempt, record } from './experiment.ts'
import { lost } from './evolve-job.ts'
import { end } from './progress.ts'
import { accepted, envelopeOf, isUndecodable, type Receipt, refuse } from './receipt.ts'
import { isAskedAnew } from './restart.ts'
import { DESIRED_STATES, isDesiredState, isRecord } from './spec.ts'
import { turn } from './turn.ts'

/** What can be wished. Each exists in Temporal under this name, as a signal and as an update. */
export const WISHES = [
  'setDesiredState',
  'setFlags',
  'cancelJob',
  'edit',
  'hold',
  'release',
  'adopt',
  'confirmGone',
  'delete',
  'undelete',
] as const

/** A wish from outside. `value` is not trusted: it may come from a command line. */
export interface Wish {
  kind: (typeof WISHES)[number]
  value: unknown
}

type Taker = (state: Experiment, value: unknown, atMs: number) => [Experiment, Receipt]

/** How each kind of wish is taken. */
const TAKERS: Readonly<Record<Wish['kind'], Taker>> = {
  setDesiredState: acceptDesired,
  setFlags: acceptFlags,
  cancelJob: (state, value, atMs) =>
    acceptDesired(state, { ...(isRecord(value) ? value : {}), state: 'STOPPED' }, atMs),
  edit: acceptEdit,
  hold: acceptHold,
  release: acceptRelease,
  adopt: acceptAdoption,
  confirmGone: acceptGone,
  delete: acceptDelete,
  undelete: acceptUndelete,
}

/** Takes a wish. Never throws, because a signal has no caller to throw at; what it refuses it counts. */
export function accept(state: Experiment, { kind, value }: Wish, atMs: number): [Experiment, Receipt] {
  if (isUndecodable(value)) return refuse(state, `the message ${kind} cannot be decoded: send plain JSON`)
  if (state.deleted && kind !== 'undelete') return refuse(state, 'the experiment is being deleted')
  return TAKERS[kind](state, value, atMs)
}

function acceptDesired(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const wanted = isRecord(value) ? value['state'] : value
  if (!isDesiredState(wanted))
    return refuse(state, `desired state must be one of ${DESIRED_STATES.join(', ')}, in capitals`)
  const stale = whyStale(state, value)
  if (stale) return refuse(state, stale)
  const startsAnew = wanted === 'RUNNING' && isAskedAnew(state)
  if (wanted === state.desired.state && !startsAnew) return accepted(state)
  return accepted(turn(state, wanted, envelopeOf(value), atMs))
}

function whyStale(state: Experiment, value: unknown): string | undefined {
  const expected = isRecord(value) ? value['ifRevision'] : undefined
  if (expected === undefined || expected === null) return undefined
  const { generation } = state.desired
  return expected === generation
    ? undefined
    : `it changed meanwhile: generation is ${generation}, not ${JSON.stringify(expected)}`
}

function acceptHold(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  if (state.hold) return accepted(state)
  const by = envelopeOf(value)
  const text = `hands off${by.reason ? `: ${by.reason}` : ''}`
  const next = { ...state, hold: { ...by, atMs } }
  return accepted(record(next, { atMs, kind: 'held', actor: by.actor, text, detail: {} }))
}

function acceptRelease(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  if (!state.hold) return accepted(state)
  const by = envelopeOf(value)
  const text = `released${by.reason ? `: ${by.reason}` : ''}`
  const next = { ...state, hold: null, trouble: null }
  return accepted(record(next, { atMs, kind: 'released', actor: by.actor, text, detail: {} }))
}

/** A person looked at the machines and says that nothing is left. Their word ends what SkyPilot cannot be asked about. */
function acceptGone(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const by = envelopeOf(value)
  if (by.reason === null) return refuse(state, 'say in "reason" how you checked that nothing runs any more')
  if (!liveAttempt(state) && !state.cluster && state.strays.length === 0)
    return refuse(state, 'nothing of it is believed to run')
  const reason = `${by.actor} checked by hand: ${by.reason}`
  const text = `checked by hand that nothing runs: ${by.reason}`
  const said = record(state, { atMs, kind: 'confirmed-gone', actor: by.actor, text, detail: {} })
  const ended = end(said, lost('CONFIRMED_GONE', reason, atMs), atMs)
  return accepted({ ...ended, cluster: null, strays: [], trouble: null })
}

function acceptDelete(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const by = envelopeOf(value)
  const desired = { state: 'TERMINATED' as const, generation: state.desired.generation + 1, ...by, atMs }
  const next = { ...state, deleted: true, desired, trouble: null }
  return accepted(record(next, { atMs, kind: 'deleted', actor: by.actor, text: 'deleted', detail: {} }))
}

/** Only while the clean-up goes on; an experiment that is gone is brought back by starting it again. */
function acceptUndelete(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  if (!state.deleted) return accepted(state)
  const by = envelopeOf(value)
  const next = { ...state, deleted: false }
  return accepted(
    record(next, { atMs, kind: 'undeleted', actor: by.actor, text: 'deletion undone', detail: {} }),
  )
}
