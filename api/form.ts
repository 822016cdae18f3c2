import type { Flags, FlagValue, Spec } from '../core/spec.ts'
import type { ExperimentRow } from '../store/experiments.ts'
import { type FormValues, POLICY_FIELDS } from '../views/form-values.ts'
import { CreateInput, EditInput } from './experiment-input.ts'
import { DEFAULT_POLICY_VALUES, policyBody, policyValues } from './form-policy.ts'
import { problemOf } from './openapi.ts'

type Fields = Readonly<Record<string, unknown>>

/** What a form came to: an input that can be used, or what is wrong with which field. */
export type FormResult<T> = { input: T } | { errors: Map<string, string> }

const TEXT_FIELDS = [
  'name',
  'description',
  'command',
  'flag_style',
  'flags',
  'nodes',
  'gpus',
  'accelerator',
  'setup',
  'envs',
  'base_command',
  'tool_path',
  'git_branch',
  'cloud',
  'instance_type',
  ...POLICY_FIELDS,
] as const

const EMPTY: FormValues = {
  name: '',
  description: '',
  command: '',
  flag_style: 'key=value',
  flags: '',
  nodes: '1',
  gpus: '0',
  accelerator: '',
  setup: '',
  envs: '',
  base_command: '',
  tool_path: '',
  git_branch: '',
  cloud: '',
  instance_type: '',
  ...DEFAULT_POLICY_VALUES,
  spot: false,
  start: true,
}

const COUNTING = 'for i in $(seq 1 {nodes}0); do echo "$SKYDECK_RUN_NAME: step $i of {nodes}0"; sleep 1; done'

/** What the empty form offers to try. */
const EXAMPLES: Readonly<Record<string, Partial<FormValues>>> = {
  count: { name: 'counting', command: COUNTING },
  fail: {
    name: 'failing',
    command: 'echo "working on it"; sleep 3; echo "no such file: data.bin" >&2; exit 3',
  },
}

export const blankForm = (example: string | undefined): FormValues => ({
  ...EMPTY,
  ...(example && Object.hasOwn(EXAMPLES, example) ? EXAMPLES[example] : {}),
})

/** The fields as they were sent, to be shown again beside what is wrong with them. What was not sent is as it was. */
export function formValues(fields: Fields, before: FormValues = EMPTY): FormValues {
  const sent = TEXT_FIELDS.filter((field) => field in fields)
  const texts = sent.map((field) => [field, textOf(fields[field])] as const)
  const flags = { spot: fields['spot'] === 'true', start: fields['start'] === 'true' }
  return { ...before, ...Object.fromEntries(texts), ...flags }
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value.replaceAll('\r\n', '\n') : '')

export function formOf(row: ExperimentRow): FormValues {
  const { spec } = row
  return {
    ...EMPTY,
    ...commandFields(spec.command),
    name: row.name,
    description: row.description ?? '',
    flags: lines(Object.entries(spec.flags).map(([key, value]) => `${key}=${typed(value)}`)),
    nodes: String(spec.nodes),
    gpus: String(spec.gpus),
    accelerator: spec.accelerator ?? '',
    setup: spec.setup ?? '',
    envs: lines(Object.entries(spec.envs).map(([key, value]) => `${key}=${value}`)),
    cloud: spec.cloud ?? '',
    instance_type: spec.instanceType ?? '',
    spot: spec.spot,
    ...policyValues(row.policy, spec.executor),
  }
}

const lines = (all: readonly string[]): string => all.join('\n')

function commandFields(command: Spec['command']): Partial<FormValues> {
  if (command.form === 'template') return { command: command.template, flag_style: command.flagStyle }
  return {
    base_command: command.baseCommand,
    tool_path: command.toolPath ?? '',
    git_branch: command.gitBranch ?? '',
  }
}

/** Writes a flag so that reading it back gives the same value: text that looks like something else is quoted. */
const typed = (value: FlagValue): string =>
  typeof value === 'string' && (readFlag(value) !== value || value.includes('\n'))
    ? JSON.stringify(value)
    : String(value)

/** `true`, `7`, `1e-5` and `"quoted"` are what they look like; everything else is text. */
function readFlag(text: string): FlagValue {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^-?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(text)) return Number(text)
  return /^".*"$/.test(text) ? unquoted(text) : text
}

function unquoted(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'string' ? value : text
  } catch {
    return text
  }
}

/** Reads `key=value` lines. @throws RangeError that names the line which is none */
function pairs(text: string): Array<[string, string]> {
  const all = text.split('\n').map((line, at) => ({ line: line.trim(), at: at + 1 }))
  return all
    .filter(({ line }) => line !== '' && !line.startsWith('#'))
    .map(({ line, at }) => {
      const equals = line.indexOf('=')
      if (equals < 1) throw new RangeError(`line ${at} is not key=value: ${line.slice(0, 60)}`)
      return [line.slice(0, equals).trim(), line.slice(equals + 1).trim()]
    })
}

const readFlags = (text: string): Flags =>
  Object.fromEntries(pairs(text).map(([key, value]) => [key, readFlag(value)]))

export const parseCreate = (values: FormValues): FormResult<CreateInput> => parseForm(values, CreateInput)
export const parseEdit = (values: FormValues): FormResult<EditInput> => parseForm(values, EditInput)

type Parser<T> = {
  safeParse(
    value: unknown,
  ): { success: true; data: T } | { success: false; error: { issues: Parameters<typeof problemOf>[0] } }
}

function parseForm<T>(values: FormValues, schema: Parser<T>): FormResult<T> {
  const errors = new Map<string, string>()
  const flags = attempt(() => readFlags(values.flags), 'flags', errors)
  const envs = attempt(() => Object.fromEntries(pairs(values.envs)), 'envs', errors)
  if (values.command.trim() === '' && values.base_command.trim() === '')
    errors.set('command', 'say what to run, for example: python train.py --name {name} {flags}')
  const policy = policyBody(values, (field, read) => attempt(() => read(values[field]), field, errors))
  const parsed = schema.safeParse({ ...bodyOf(values), ...policy, flags, envs })
  if (!parsed.success)
    for (const { field, message } of problemOf(parsed.error.issues).errors) {
      const name = fieldOf(field)
      if (!errors.has(name)) errors.set(name, message)
    }
  return parsed.success && errors.size === 0 ? { input: parsed.data } : { errors }
}

/** Where a problem of the body is shown: `flags.lr` beside the flags, `restart_policy.when` beside `restart_when`. */
function fieldOf(path: string): string {
  const [first = path, second] = path.split('.')
  return first === 'restart_policy' && second !== undefined ? `restart_${second}` : first
}

function attempt<T>(read: () => T, field: string, errors: Map<string, string>): T | undefined {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    errors.set(field, error.message)
    return undefined
  }
}

const orNull = (text: string): string | null => (text.trim() === '' ? null : text.trim())

/** The same body that a JSON client would send. */
const bodyOf = (values: FormValues) => ({
  name: values.name,
  description: orNull(values.description),
  command: orNull(values.command),
  flag_style: values.flag_style,
  nodes: values.nodes,
  gpus: values.gpus,
  accelerator: orNull(values.accelerator),
  setup: orNull(values.setup),
  base_command: values.base_command,
  tool_path: orNull(values.tool_path),
  git_branch: orNull(values.git_branch),
  cloud: orNull(values.cloud),
  instance_type: orNull(values.instance_type),
  spot: values.spot,
  desired_state: values.start ? 'RUNNING' : 'STOPPED',
})
