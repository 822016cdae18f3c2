import { type Experiment, liveAttempt, record } from './experiment.ts'
import { changedPolicy, isPolicyChange, type PolicyChange, whyNotPolicy } from './policy.ts'
import { accepted, type Envelope, envelopeOf, type Receipt, refuse } from './receipt.ts'
import {
  EXECUTORS,
  GPUS_MAX,
  isFlags,
  isName,
  isRecord,
  NODES_MAX,
  type Spec,
  whyNotFlags,
  whyTooLong,
} from './spec.ts'

export function acceptFlags(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  const flags = isRecord(value) && isRecord(value['flags']) ? value['flags'] : value
  if (!isFlags(flags)) return refuse(state, whyNotFlags(flags) ?? 'not flags')
  return edited(state, { spec: { flags }, policy: {} }, envelopeOf(value), atMs)
}

/** An edit names what it changes: `{name?, spec?, policy?}`. The API validates more closely before it asks. */
export function acceptEdit(state: Experiment, value: unknown, atMs: number): [Experiment, Receipt] {
  if (!isRecord(value) || (value['spec'] === undefined && value['policy'] === undefined))
    return refuse(state, 'an edit must be {"spec": {...}} or {"policy": {...}}')
  const { name, spec = {}, policy = {} } = value
  const why = whyNotName(name) ?? whyNotSpec(spec) ?? whyNotPolicy(policy)
  if (why !== undefined) return refuse(state, why)
  const change = { name, spec: isRecord(spec) ? spec : {}, policy: isPolicyChange(policy) ? policy : {} }
  return edited(state, change, envelopeOf(value), atMs)
}

const FORMER_NAMES_MAX = 50

function rename(state: Experiment, name: unknown): Experiment {
  if (typeof name !== 'string' || name === state.name) return state
  const formerNames = [...(state.formerNames ?? []), state.name].slice(-FORMER_NAMES_MAX)
  return { ...state, name, formerNames }
}

const whyNotName = (name: unknown): string | undefined =>
  name === undefined || (typeof name === 'string' && isName(name))
    ? undefined
    : 'a name starts with a letter and holds letters, digits, dots, dashes and underscores only'

function whyNotSpec(change: unknown): string | undefined {
  if (!isRecord(change)) return 'a spec must be an object such as {"nodes": 2}'
  for (const [key, field] of Object.entries(change)) {
    if (!isSpecKey(key)) return `a spec has no field ${JSON.stringify(key.slice(0, 80))}`
    if (!FITS[key](field)) return `field ${key} of the spec has a value of the wrong kind`
  }
  return undefined
}

const isText = (field: unknown): boolean => field === null || typeof field === 'string'

/** What each field of a spec may hold. */
const FITS: { readonly [K in keyof Spec]: (field: unknown) => boolean } = {
  executor: (field) => EXECUTORS.some((executor) => executor === field),
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

interface Edit {
  name?: unknown
  spec: Partial<Spec>
  policy: PolicyChange
}

/** The policy holds at once, the spec from the next launch on; a job that runs goes on as it is. */
function edited(state: Experiment, edit: Edit, by: Envelope, atMs: number): [Experiment, Receipt] {
  const spec = { ...state.spec, ...edit.spec }
  const tooLong = whyTooLong(spec)
  if (tooLong !== undefined) return refuse(state, tooLong)
  const policy = changedPolicy(state.policy, edit.policy)
  const specKeys = changedKeys(state.spec, spec)
  const policyKeys = changedKeys(state.policy, policy)
  const renamed = rename(state, edit.name)
  const applies =
    liveAttempt(state) === null
      ? { now: [...policyKeys, ...specKeys], nextRun: [] }
      : { now: policyKeys, nextRun: specKeys }
  const isChanged = renamed !== state || specKeys.length + policyKeys.length > 0
  const said = [...specKeys, ...policyKeys].join(', ') || 'the name'
  const specRevision = state.specRevision + 1
  const event = {
    atMs,
    kind: 'edited',
    actor: by.actor,
    text: `changed ${said}${by.reason ? `: ${by.reason}` : ''}`,
    detail: { specRevision, name: renamed.name },
  }
  const [next, receipt] = accepted(
    isChanged ? record({ ...renamed, spec, specRevision, policy }, event) : state,
  )
  return [next, receipt.accepted ? { ...receipt, applies } : receipt]
}

/** The fields that are not what they were: a form sends all of them. */
function changedKeys<T extends object>(before: T, after: T): string[] {
  const known = new Map<string, unknown>(Object.entries(before))
  return Object.entries(after)
    .filter(([key, value]) => JSON.stringify(value) !== JSON.stringify(known.get(key)))
    .map(([key]) => key)
}
