import type { Policy } from '../core/policy.ts'
import type { Spec } from '../core/spec.ts'
import type { ExperimentRow } from '../store/experiments.ts'
import type { EditInput } from './experiment-input.ts'

/** Which fields of an edit hold at once, and which from the next run on. */
export interface Applies {
  now: string[]
  next_run: string[]
}

/** The rules' names of what they keep, as the API calls it. */
const FIELDS: Readonly<Record<keyof Spec | keyof Policy, string>> = {
  executor: 'executor',
  command: 'command',
  flags: 'flags',
  nodes: 'nodes',
  gpus: 'gpus',
  accelerator: 'accelerator',
  cloud: 'cloud',
  instanceType: 'instance_type',
  spot: 'spot',
  setup: 'setup',
  envs: 'envs',
  restart: 'restart_policy',
  maxRunMs: 'max_run_seconds',
  maxAgeMs: 'max_age_seconds',
  priority: 'priority',
  drift: 'drift',
  autostopMinutes: 'autostop_minutes',
}
const isField = (key: string): key is keyof typeof FIELDS => Object.hasOwn(FIELDS, key)
const named = (keys: readonly string[]): string[] => keys.map((key) => (isField(key) ? FIELDS[key] : key))

/** Of which the rules know nothing; a new name is a label that shows at once, and names jobs from the next one on. */
const AT_ONCE = {
  name: 'name',
  description: 'description',
  tags: 'tags',
  group: 'label',
  order: 'sortOrder',
} as const satisfies Partial<Record<keyof EditInput, keyof ExperimentRow>>
type Note = keyof typeof AT_ONCE
const NOTES = Object.keys(AT_ONCE).filter((field): field is Note => field in AT_ONCE)

/** What the workflow said of an edit, and what it was not asked about. Only what is not as it was is named. */
export const appliesOf = (
  input: EditInput,
  before: ExperimentRow,
  said?: { now: string[]; nextRun: string[] },
): Applies => ({
  now: [
    ...NOTES.filter((field) => input[field] !== undefined && !isSame(input[field], before[AT_ONCE[field]])),
    ...named(said?.now ?? []),
  ],
  next_run: named(said?.nextRun ?? []),
})

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

/** Reads a list of fields back that was made of them for an address; what is no field is left out. */
export const fieldsIn = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .filter((word) => [...NOTES, ...Object.values(FIELDS)].some((field) => field === word))
