import {
  anyMap,
  boolean,
  type Check,
  fields,
  integer,
  is,
  isMap,
  listOf,
  mapOf,
  pattern,
  text,
  whenMap,
} from './checks.ts'
import { InvalidError } from './errors.ts'
import { frozenCopy } from './field-names.ts'
import { Resources, type ResourcesFields } from './resources.ts'
import { type RunFunction, scriptOf } from './run-per-rank.ts'
import { checkFileMounts, type StorageMount } from './storage.ts'
import { readYaml, writeYaml } from './yaml-text.ts'

/** A commit of a git repository, which the machines fetch by themselves. */
export interface GitWorkdir {
  url: string
  /** A branch, a tag or a commit. */
  ref?: string
}

/** What a task is made of. All fields are optional. */
export interface TaskFields {
  name?: string
  /** Shell commands, run once per machine before the first run. A list is joined by lines. */
  setup?: string | readonly string[]
  /** Shell commands: text, lines, or a function that says what each rank runs. */
  run?: string | readonly string[] | RunFunction
  envs?: Readonly<Record<string, string | number | boolean>>
  /** As `envs`, but kept out of what SkyPilot shows; null, or a list of `secrets:NAME`, for those the server keeps. */
  secrets?: Readonly<Record<string, string | number | boolean | null>> | readonly string[]
  /** A folder to upload, or a git repository. */
  workdir?: string | GitWorkdir
  numNodes?: number
  /** Local paths or addresses by the path on the machines. */
  fileMounts?: Readonly<Record<string, string>>
  /** Buckets by the path on the machines. */
  storageMounts?: Readonly<Record<string, StorageMount>>
  /** Volumes by the path on the machines. */
  volumes?: Readonly<Record<string, string | Readonly<Record<string, unknown>>>>
  resources?: ResourcesFields | Resources
  /** SkyPilot configuration for this task alone, and its hooks, under their names in YAML. */
  config?: Readonly<Record<string, unknown>>
  /** The `service` section, for serving, under its names in YAML. */
  service?: Readonly<Record<string, unknown>>
  /** The `pool` section, under its names in YAML. */
  pool?: Readonly<Record<string, unknown>>
  eventCallback?: string
  /** Whether the task may use the API server. */
  apiServerAccess?: boolean
  /** Fields that are not known here, under their names in YAML. */
  extra?: Readonly<Record<string, unknown>>
}

// The rules are those of `get_task_schema` in `sky/utils/schemas.py` and of `sky/task.py`, 0.14.1.

const VARIABLE = /^[a-zA-Z_][a-zA-Z0-9_]*$/

const secretName = pattern('"secrets:" and a name', /^secrets:./)
const secretsMap: Check = (value, at) => {
  mapOf(is('text or null', (each) => each === null || typeof each === 'string'))(value, at)
  for (const [name, secret] of Object.entries(isMap(value) ? value : {}))
    if (name.startsWith('secrets:') && secret !== null)
      throw new InvalidError(`${at}.${name}: is kept by the server and cannot have a value`)
}

const CHECKS: Readonly<Record<string, Check>> = {
  name: pattern(
    'letters and digits, with single or double dashes, dots or underscores between them',
    /^[a-zA-Z0-9]+(?:[._-]{1,2}[a-zA-Z0-9]+)*$/,
  ),
  setup: text,
  run: text,
  envs: mapOf(text, pattern('a name for an environment variable', VARIABLE)),
  secrets: (value, at) => (Array.isArray(value) ? listOf(secretName)(value, at) : secretsMap(value, at)),
  workdir: whenMap(
    fields({ url: text, ref: text }, ['url']),
    is('a folder, or a map with url and ref', (value) => typeof value === 'string'),
  ),
  num_nodes: integer(1),
  file_mounts: checkFileMounts,
  volumes: anyMap,
  config: anyMap,
  service: anyMap,
  pool: anyMap,
  event_callback: text,
  api_server_access: boolean,
  inputs: anyMap,
  outputs: anyMap,
  file_mounts_mapping: anyMap,
}

/** The names in YAML of the fields that are taken over as they are. */
const PLAIN = {
  name: 'name',
  workdir: 'workdir',
  num_nodes: 'numNodes',
  volumes: 'volumes',
  config: 'config',
  service: 'service',
  pool: 'pool',
  event_callback: 'eventCallback',
  api_server_access: 'apiServerAccess',
  setup: 'setup',
  run: 'run',
  envs: 'envs',
  secrets: 'secrets',
} as const satisfies Record<string, keyof TaskFields>

/** A computation and the machines it wants. Immutable: `copy` makes another. */
export class Task {
  readonly fields: Readonly<TaskFields>
  readonly resources: Resources

  /** @throws InvalidError that names the field, such as `num_nodes: should be ...` */
  constructor(given: TaskFields = {}) {
    const { resources, ...rest } = given
    this.resources = resources instanceof Resources ? resources : new Resources(resources)
    this.fields = frozenCopy(resources === undefined ? rest : { ...rest, resources: this.resources })
    check(this.toConfig())
  }

  /**
   * Reads the YAML of one task as SkyPilot's own parser does. Fields that are not known here are kept.
   * @throws InvalidError for what SkyPilot would refuse, with the name of the field
   */
  static fromYaml(yaml: string): Task {
    const config = readYaml(yaml, isPythonText) ?? {}
    if (!isMap(config)) throw new InvalidError('task: should be a map of fields')
    check(config)
    return new Task(read(config))
  }

  /** The YAML of this task. SkyPilot reads from it the same as from the YAML that the task came from. */
  toYaml(): string {
    return writeYaml(this.toConfig())
  }

  /** The fields under their names in YAML, with all commands as text. */
  toConfig(): Record<string, unknown> {
    const { resources, fileMounts, storageMounts, extra, run, setup, envs, secrets, ...rest } = this.fields
    const mounts = { ...fileMounts, ...storageMounts }
    const values: Partial<Record<keyof TaskFields, unknown>> = {
      ...rest,
      setup: joined(setup),
      run: typeof run === 'function' ? scriptOf(run, rest.numNodes ?? 1) : joined(run),
      envs: texts(envs),
      secrets: Array.isArray(secrets) ? secrets : texts(secrets),
    }
    const named = Object.entries(PLAIN).map(([snake, camel]) => [snake, values[camel]] as const)
    return {
      ...Object.fromEntries(named.filter(([, value]) => value !== undefined)),
      ...(resources === undefined ? {} : { resources: this.resources.toConfig() }),
      ...(fileMounts || storageMounts ? { file_mounts: mounts } : {}),
      ...extra,
    }
  }

  /** Another task like this but for some fields; undefined takes a field away. @throws InvalidError as the constructor does */
  copy(overrides: { [Name in keyof TaskFields]?: TaskFields[Name] | undefined }): Task {
    const all = Object.entries({ ...this.fields, ...overrides })
    return new Task(Object.fromEntries(all.filter(([, value]) => value !== undefined)))
  }
}

function check(config: Record<string, unknown>): void {
  for (const [name, checkField] of Object.entries(CHECKS))
    if (config[name] !== undefined && config[name] !== null) checkField(config[name], name)
  if (config['resources'] != null) anyMap(config['resources'], 'resources')
  if (config['service'] != null && config['pool'] != null)
    throw new InvalidError('pool: cannot stand beside service')
}

const joined = (lines: string | readonly string[] | undefined): unknown =>
  Array.isArray(lines) && lines.every((line) => typeof line === 'string') ? lines.join('\n') : lines

/** Numbers and booleans become text; anything else is left for the check to name. */
const texts = (values: unknown): unknown =>
  isMap(values)
    ? Object.fromEntries(
        Object.entries(values).map(([name, value]) => [
          name,
          typeof value === 'number' || typeof value === 'boolean' ? String(value) : value,
        ]),
      )
    : values

/** Where SkyPilot calls `str()` on what it read. */
function isPythonText(path: readonly string[], isFloat: boolean): boolean {
  const [section, name, last] = path
  if (section === 'envs' || section === 'secrets')
    return path.length <= 2 && (path.length === 2 || section === 'secrets')
  if (section !== 'resources' || !isFloat) return false
  const field = name === 'any_of' || name === 'ordered' ? last : name
  return field === 'cpus' || field === 'memory'
}

const CAMEL = new Map<string, string>(Object.entries(PLAIN))

function read(config: Record<string, unknown>): TaskFields {
  const { resources, file_mounts: mounts, ...rest } = config
  const known: Record<string, unknown> = {}
  const extra: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(rest)) {
    const camel = CAMEL.get(name)
    if (camel === undefined) extra[name] = value
    else if (value !== null) known[camel] = value
    // Nothing is as good as absent, but here SkyPilot takes it for no.
    else if (camel === 'apiServerAccess') known[camel] = false
  }
  const all = Object.entries(isMap(mounts) ? mounts : {})
  const files = all.filter(([, source]) => !isMap(source))
  const buckets = all.filter(([, source]) => isMap(source))
  if (files.length > 0) known['fileMounts'] = Object.fromEntries(files)
  if (buckets.length > 0) known['storageMounts'] = Object.fromEntries(buckets)
  if (isMap(resources)) known['resources'] = Resources.fromConfig(resources)
  return Object.keys(extra).length > 0 ? { ...known, extra } : known
}
