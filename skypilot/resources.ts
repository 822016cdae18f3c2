import {
  anyMap,
  boolean,
  type Check,
  either,
  fields,
  integer,
  is,
  isMap,
  listOf,
  mapOf,
  oneOf,
  pattern,
  text,
  whenMap,
} from './checks.ts'
import { InvalidError } from './errors.ts'
import { type FieldNames, fromYamlNames, frozenCopy, toYamlNames } from './field-names.ts'

export interface JobRecovery {
  /** Such as `FAILOVER` or `EAGER_NEXT_REGION`; `none` switches recovery off. */
  strategy?: string | null
  maxRestartsOnErrors?: number
  recoverOnExitCodes?: number | readonly number[]
}

export interface Autostop {
  idleMinutes?: number
  /** Take the cluster down in place of stopping it. */
  down?: boolean
  waitFor?: 'jobs_and_ssh' | 'jobs' | 'none'
  /** A command to run before. */
  hook?: string
  hookTimeout?: number
}

export interface AcceleratorArguments {
  runtimeVersion?: string
  tpuName?: string
  tpuVm?: boolean
  gcpQueuedResource?: boolean
}

export interface ResourceVolume {
  path: string
  name?: string
  diskSize?: number | string
  diskTier?: string
  autoDelete?: boolean
  storageType?: string
  attachMode?: string
}

/** What a task needs of its machines. All fields are optional. */
export interface ResourcesFields {
  /** `cloud`, `cloud/region` or `cloud/region/zone`, with `*` for any. In place of the three fields below. */
  infra?: string
  cloud?: string
  region?: string
  zone?: string
  instanceType?: string
  /** A number, or text such as `4+` for at least four. */
  cpus?: number | string
  /** GiB, or text such as `16+` or `64GB`. */
  memory?: number | string
  /** `H100`, `H100:8`, `80GB+`; a map of counts; a list in the order of preference. */
  accelerators?: string | Readonly<Record<string, number | null>> | readonly string[]
  acceleratorArgs?: AcceleratorArguments
  useSpot?: boolean
  jobRecovery?: string | JobRecovery
  /** GiB, or text such as `1TB`. */
  diskSize?: number | string
  diskTier?: 'low' | 'medium' | 'high' | 'ultra' | 'best'
  networkTier?: 'standard' | 'best'
  /** Such as `nvme:1000+`. */
  localDisk?: string
  /** US dollars. */
  maxHourlyCost?: number
  ports?: number | string | ReadonlyArray<number | string>
  /** An image, or a map from region to image; the key `docker` names a container image beside it. */
  imageId?: string | Readonly<Record<string, string>>
  labels?: Readonly<Record<string, string>>
  /** Minutes, text such as `2h`, false for never, or all of it. */
  autostop?: boolean | number | string | Autostop
  priority?: number
  priorityClass?: string
  volumes?: readonly ResourceVolume[]
  /** Alternatives, each over the fields above; SkyPilot takes the cheapest. */
  anyOf?: ReadonlyArray<ResourcesFields | Resources>
  /** Alternatives in the order of preference. */
  ordered?: ReadonlyArray<ResourcesFields | Resources>
  /** Fields that are not known here, under their names in YAML. */
  extra?: Readonly<Record<string, unknown>>
}

const ONE: FieldNames = {
  infra: true,
  cloud: true,
  region: true,
  zone: true,
  instanceType: true,
  cpus: true,
  memory: true,
  accelerators: true,
  acceleratorArgs: { runtimeVersion: true, tpuName: true, tpuVm: true, gcpQueuedResource: true },
  useSpot: true,
  jobRecovery: { strategy: true, maxRestartsOnErrors: true, recoverOnExitCodes: true },
  diskSize: true,
  diskTier: true,
  networkTier: true,
  localDisk: true,
  maxHourlyCost: true,
  ports: true,
  imageId: true,
  labels: true,
  autostop: { idleMinutes: true, down: true, waitFor: true, hook: true, hookTimeout: true },
  priority: true,
  priorityClass: true,
  volumes: {
    path: true,
    name: true,
    diskSize: true,
    diskTier: true,
    autoDelete: true,
    storageType: true,
    attachMode: true,
  },
}

// The rules below are those of `sky/utils/schemas.py` and `sky/resources.py`, 0.14.1, but for the names of clouds: a
// newer server may know more of them.

const NUMBER = String.raw`\s*\+?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?\s*`
const SIZE = /^\d+(?:[kmgtp][bi])?$/i
const MEMORY = new RegExp(String.raw`^${NUMBER}(?:[kmgtp][bi])?[+x]?$`, 'i')
const CPUS = new RegExp(String.raw`^${NUMBER}\+?$`)

const isPositive = (value: unknown): boolean =>
  typeof value === 'number' ? value > 0 : typeof value === 'string' && Number.parseFloat(value) > 0

const size = is(
  'a positive whole number of GiB, or text such as "512GB"',
  (value) => isPositive(value) && (Number.isInteger(value) || SIZE.test(String(value))),
)

function isAccelerator(value: unknown): boolean {
  if (typeof value !== 'string' || value === '') return false
  const [name, second, third, ...rest] = value.split(':')
  if (name === '' || rest.length > 0) return false
  // A manufacturer, the size of its memory, and a count.
  if (third !== undefined) return /^\d+[gmt]b\+?$/i.test(second ?? '') && /^\d+$/.test(third)
  return second === undefined || Number(second) > 0 || /^\d+[gmt]b\+?$/i.test(second)
}
const ACCELERATOR = 'an accelerator such as "H100", "H100:8" or "80GB+"'
const accelerator = is(ACCELERATOR, isAccelerator)
const count = is('a positive number', (value) => value === null || (typeof value === 'number' && value > 0))
const accelerators: Check = (value, at) => {
  if (isMap(value)) mapOf(count)(value, at)
  else if (Array.isArray(value)) listOf(accelerator)(value, at)
  else is(`${ACCELERATOR}, a map of counts, or a list`, isAccelerator)(value, at)
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0)
    throw new InvalidError(`${at}: names none`)
}

const isPort = (digits: string | undefined): boolean =>
  digits !== undefined && /^\d+$/.test(digits) && Number(digits) >= 1 && Number(digits) <= 65_535
const isPortRange = (token: string): boolean => {
  const [from, to, ...rest] = token.split('-')
  if (!isPort(from) || rest.length > 0) return false
  return to === undefined || (isPort(to) && Number(from) <= Number(to))
}
const port = is('a port from 1 to 65535, or a range such as "8000-8010"', (value) => {
  if (typeof value !== 'number' && typeof value !== 'string') return false
  const tokens = String(value).split(',')
  return tokens.every((token) => token.trim() === '' || isPortRange(token.trim()))
})

const exitCode = integer(0, 255)

const SINGLE: Readonly<Record<string, Check>> = {
  infra: is('"cloud", "cloud/region" or "cloud/region/zone"', (value) => {
    if (typeof value !== 'string') return false
    const parts = value.trim().split('/')
    const hasFreeName = /^(?:k8s|kubernetes|ssh)$/i.test(parts[0] ?? '')
    return parts.every((part) => part.trim() !== '') && (hasFreeName || parts.length <= 3)
  }),
  cloud: text,
  region: text,
  zone: text,
  instance_type: text,
  cpus: is(
    'a positive number, or text such as "4" or "4+"',
    (value) => isPositive(value) && (typeof value === 'number' || CPUS.test(String(value))),
  ),
  memory: is('a number of GiB, or text such as "16", "16+" or "64GB"', (value) =>
    typeof value === 'number' ? value >= 0 : typeof value === 'string' && MEMORY.test(value),
  ),
  accelerators,
  accelerator_args: fields({
    runtime_version: text,
    tpu_name: text,
    tpu_vm: boolean,
    gcp_queued_resource: boolean,
  }),
  use_spot: boolean,
  job_recovery: whenMap(
    fields({
      strategy: text,
      max_restarts_on_errors: integer(0),
      recover_on_exit_codes: either(
        'an exit code from 0 to 255, or a list of different ones',
        exitCode,
        (value, at) => {
          listOf(exitCode)(value, at)
          if (Array.isArray(value) && new Set(value).size < value.length) throw new InvalidError(at)
        },
      ),
    }),
    is('the name of a strategy, or a map', (value) => typeof value === 'string'),
  ),
  disk_size: size,
  disk_tier: oneOf('low', 'medium', 'high', 'ultra', 'best'),
  network_tier: oneOf('standard', 'best'),
  local_disk: pattern(
    'text such as "nvme:1000+", "ssd" or "500"',
    /^\s*(?:(?:nvme|ssd)(?::\d+(?:\.\d+)?\+*)?|\d+(?:\.\d+)?\+*)\s*$/i,
  ),
  max_hourly_cost: is('a positive number', (value) => typeof value === 'number' && value > 0),
  ports: (value, at) => (Array.isArray(value) ? listOf(port)(value, at) : port(value, at)),
  image_id: whenMap(
    mapOf(text),
    is('text, or a map from region to image', (value) => typeof value === 'string'),
  ),
  labels: mapOf(text),
  autostop: whenMap(
    fields({
      idle_minutes: integer(0),
      down: boolean,
      wait_for: oneOf('jobs_and_ssh', 'jobs', 'none'),
      hook: text,
      hook_timeout: integer(1),
    }),
    is(
      'minutes, text such as "30m" or "2h", true, false, or a map',
      (value) =>
        typeof value === 'boolean' ||
        Number.isInteger(value) ||
        (typeof value === 'string' && /^\d+[mhdw]?$/i.test(value)),
    ),
  ),
  priority: integer(-1_000, 1_000),
  priority_class: text,
  volumes: listOf(
    fields(
      {
        path: text,
        name: text,
        auto_delete: boolean,
        disk_size: size,
        disk_tier: text,
        storage_type: text,
        attach_mode: text,
      },
      ['path'],
    ),
  ),
  _cluster_config_overrides: anyMap,
}

const alternative: Check = (value, at) => {
  fields(SINGLE)(value, at)
  whole(value, at)
}

const ALL = fields({
  ...SINGLE,
  any_of: listOf(alternative),
  ordered: listOf(alternative),
})

/** The rules that look at several fields at once. */
function whole(value: unknown, at: string): void {
  const { infra, cloud, region, zone, any_of: anyOf, ordered, hooks } = isMap(value) ? value : {}
  if (infra != null && (cloud ?? region ?? zone) != null)
    throw new InvalidError(`${at}.infra: cannot stand beside cloud, region or zone`)
  if (anyOf != null && ordered != null) throw new InvalidError(`${at}.ordered: cannot stand beside any_of`)
  if (hooks !== undefined) throw new InvalidError(`${at}.hooks: belongs into config.hooks of the task`)
}

/** SkyPilot's other name for accelerators. */
function withoutAlias(config: Record<string, unknown>): Record<string, unknown> {
  const { gpus, ...rest } = config
  if (gpus === undefined) return config
  if (rest['accelerators'] !== undefined)
    throw new InvalidError('resources.gpus: cannot stand beside accelerators')
  return { ...rest, accelerators: gpus }
}

/** Checks resources under their names in YAML. @throws InvalidError that names the field */
function checkResources(config: Record<string, unknown>, at = 'resources'): void {
  ALL(config, at)
  whole(config, at)
}

const PLACES = ['cloud', 'region', 'zone'] as const

/** What a task needs of its machines. Immutable: `copy` makes another. */
export class Resources {
  /** The fields, as they were given. */
  readonly fields: Readonly<ResourcesFields>

  /** @throws InvalidError that names the field, such as `resources.cpus: should be ...` */
  constructor(given: ResourcesFields = {}) {
    this.fields = frozenCopy(plainFields(given))
    checkResources(this.toConfig())
  }

  /**
   * Reads the `resources` of a task, as parsed from YAML.
   * @throws InvalidError that names the field
   */
  static fromConfig(config: Readonly<Record<string, unknown>>): Resources {
    checkResources(withoutAlias(config))
    return new Resources(read(config))
  }

  /** The fields under their names in YAML. */
  toConfig(): Record<string, unknown> {
    return written(this.fields)
  }

  /** Others like these but for some fields; undefined takes a field away. @throws InvalidError as the constructor does */
  copy(overrides: { [Name in keyof ResourcesFields]?: ResourcesFields[Name] | undefined }): Resources {
    const replaced = overrides.infra !== undefined ? PLACES : []
    const isPlaced = PLACES.some((place) => overrides[place] !== undefined)
    const gone = new Set<string>([...replaced, ...(isPlaced ? ['infra'] : [])])
    const kept = Object.entries(this.fields).filter(([name]) => !gone.has(name))
    const all = Object.entries({ ...Object.fromEntries(kept), ...overrides })
    return new Resources(Object.fromEntries(all.filter(([, value]) => value !== undefined)))
  }
}

const fieldsOf = (each: ResourcesFields | Resources): ResourcesFields =>
  each instanceof Resources ? each.fields : plainFields(each)

function plainFields(given: ResourcesFields): ResourcesFields {
  return {
    ...given,
    ...(Array.isArray(given.anyOf) ? { anyOf: given.anyOf.map(fieldsOf) } : {}),
    ...(Array.isArray(given.ordered) ? { ordered: given.ordered.map(fieldsOf) } : {}),
  }
}

function written({ anyOf, ordered, extra, ...given }: ResourcesFields): Record<string, unknown> {
  const all = (list: ReadonlyArray<ResourcesFields | Resources> | undefined): unknown =>
    // A list that is none is left for the check to name.
    Array.isArray(list) ? list.map((each: ResourcesFields | Resources) => written(fieldsOf(each))) : list
  return {
    ...toYamlNames(given, ONE),
    ...(anyOf === undefined ? {} : { any_of: all(anyOf) }),
    ...(ordered === undefined ? {} : { ordered: all(ordered) }),
    ...extra,
  }
}

function read(config: Readonly<Record<string, unknown>>): ResourcesFields {
  const { any_of: anyOf, ordered, ...rest } = withoutAlias({ ...config })
  const known = fromYamlNames(rest, ONE)
  const extra = Object.fromEntries(Object.entries(known).filter(([name]) => !Object.hasOwn(ONE, name)))
  const named = Object.entries(known).filter(([name, value]) => Object.hasOwn(ONE, name) && value !== null)
  return {
    ...Object.fromEntries(named),
    ...(Array.isArray(anyOf) ? { anyOf: anyOf.map(read) } : {}),
    ...(Array.isArray(ordered) ? { ordered: ordered.map(read) } : {}),
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
  }
}
