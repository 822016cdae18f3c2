import { type Experiment, isRunOver, record } from './experiment.ts'
import {
  DESIRED_STATES,
  type DesiredState,
  isDesiredState,
  isName,
  isRecord,
  isFlags,
  whyNotFlags,
  GPUS_MAX,
  NODES_MAX,
  type Spec,
} from './spec.ts'

/** The answer to a wish: taken, or refused and why. */
export type Receipt =
  | { accepted: true; generation: number; revision: number }
  | { accepted: false; reason: string }

/** A wish from outside. `value` is not trusted: it may come from a command line. */
export type Wish =
  | { kind: 'setDesiredState'; value: unknown }
  | { kind: 'setFlags'; value: unknown }
  | { kind: 'cancelJob'; value: unknown }
  | { kind: 'edit'; value: unknown }
  | { kind: 'delete'; value: unknown }

const REASON_CHARS_MAX = 500

/** Takes a wish. Never throws, because a signal has no caller to throw at; what it refuses it counts. */
export function accept(state: Experiment, wish: Wish, atMs: number): [Experiment, Receipt] {
  if (state.deleted) return refuse(state, 'the experiment is being deleted')
  switch (wish.kind) {
    case 'setDesiredState':
      return acceptDesired(state, wish.value, atMs)
    case 'setFlags':
      return acceptFlags(state, wish.value, atMs)
    case 'cancelJob':
      return acceptDesired(state, { ...(isRecord(wish.value) ? wish.value : {}), state: 'STOPPED' }, atMs)
    case 'edit':
      return acceptEdit(state, wish.value, atMs)
    case 'delete':
      return acceptDelete(state, wish.value, atMs)
  }
}

export function refuse(state: Experiment, reason: string): [Experiment, Receipt] {
  return [
    { ...state, badMessages: state.badMessages + 1, lastRefusal: reason },
    { accepted: false, reason },
  ]
}

function accepted(state: Experiment): [Experiment, Receipt] {
  return [state, { accepted: true, generation: state.desired.generation, revision: state.revision }]
}

interface Envelope {
  actor: string
  reason: string | null
}

const text = (value: unknown): string | null =>
  typeof value === 'string' && value.trim() !== '' ? value.trim().slice(0, REASON_CHARS_MAX) : null

const envelopeOf = (value: unknown): Envelope =>
  isRecord(value)
    ? { actor: text(value['actor']) ?? 'temporal', reason: text(value['reason']) }
    : { actor: 'temporal', reason: null }

function acceptDesired(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const wanted = isRecord(value) ? value['state'] : value
  if (!isDesiredState(wanted))
    return refuse(state, `desired state must be one of ${DESIRED_STATES.join(', ')}, in capitals`)
  const stale = whyStale(state, value)
  if (stale) return refuse(state, stale)
  if (wanted === state.desired.state && !(wanted === 'RUNNING' && isRunOver(state))) return accepted(state)
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

function turn(state: Experiment, wanted: DesiredState, by: Envelope, atMs: number): Experiment {
  const generation = state.desired.generation + 1
  const run = wanted === 'RUNNING' ? state.run + 1 : state.run
  const next = { ...state, run, trouble: null, desired: { state: wanted, generation, ...by, atMs } }
  return record(next, {
    atMs,
    kind: 'desired',
    actor: by.actor,
    text: `${state.desired.state} → ${wanted}${by.reason ? `: ${by.reason}` : ''}`,
    detail: { from: state.desired.state, to: wanted, generation, run },
  })
}

function acceptFlags(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const flags = isRecord(value) && isRecord(value['flags']) ? value['flags'] : value
  if (!isFlags(flags)) return refuse(state, whyNotFlags(flags) ?? 'not flags')
  return accepted(edited(state, { flags }, envelopeOf(value), atMs))
}

/** Every field of a spec that an edit may carry, each with its own guard. The API validates more closely before it asks. */
function acceptEdit(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  if (!isRecord(value) || !isRecord(value['spec'])) return refuse(state, 'an edit must be {"spec": {...}}')
  const { name } = value
  if (name !== undefined && (typeof name !== 'string' || !isName(name)))
    return refuse(
      state,
      'a name starts with a letter and holds letters, digits, dots, dashes and underscores only',
    )
  const change = value['spec']
  for (const [key, field] of Object.entries(change)) {
    if (!isSpecKey(key)) return refuse(state, `a spec has no field ${JSON.stringify(key.slice(0, 80))}`)
    if (!FITS[key](field)) return refuse(state, `field ${key} of the spec has a value of the wrong kind`)
  }
  const renamed = typeof name === 'string' ? { ...state, name } : state
  return accepted(edited(renamed, change, envelopeOf(value), atMs))
}

const isText = (field: unknown): boolean => field === null || typeof field === 'string'

/** What each field of a spec may hold. */
const FITS: { readonly [K in keyof Spec]: (field: unknown) => boolean } = {
  command: (field) => isRecord(field) && fitsCommand(field),
  flags: isFlags,
  nodes: (field) => Number.isInteger(field) && Number(field) >= 1 && Number(field) <= NODES_MAX,
  gpus: (field) => Number.isInteger(field) && Number(field) >= 0 && Number(field) <= GPUS_MAX,
  accelerator: isText,
  cloud: isText,
  instanceType: isText,
  spot: (field) => typeof field === 'boolean',
  setup: isText,
  envs: (field) => isRecord(field) && Object.values(field).every((item) => typeof item === 'string'),
}

const isSpecKey = (key: string): key is keyof Spec => Object.hasOwn(FITS, key)

function fitsCommand(command: Record<string, unknown>): boolean {
  if (command['form'] === 'template')
    return typeof command['template'] === 'string' && typeof command['flagStyle'] === 'string'
  return command['form'] === 'launcher' && typeof command['baseCommand'] === 'string'
}

function edited(state: Experiment, change: Partial<Spec>, by: Envelope, atMs: number): Experiment {
  const specRevision = state.specRevision + 1
  return record(
    { ...state, spec: { ...state.spec, ...change }, specRevision },
    {
      atMs,
      kind: 'edited',
      actor: by.actor,
      text: `changed ${Object.keys(change).join(', ') || 'the name'}${by.reason ? `: ${by.reason}` : ''}`,
      detail: { specRevision },
    },
  )
}

function acceptDelete(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const by = envelopeOf(value)
  const desired = { state: 'TERMINATED' as const, generation: state.desired.generation + 1, ...by, atMs }
  const next = { ...state, deleted: true, desired, trouble: null }
  return accepted(record(next, { atMs, kind: 'deleted', actor: by.actor, text: 'deleted', detail: {} }))
}
