import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { RequestFailure } from './requests.ts'
import { Demand, demandOf, NO_DEMAND } from './resources.ts'

const NAME = /^[a-zA-Z](?:[-_.a-zA-Z0-9]*[a-zA-Z0-9])?$/
const scalars = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))
const names = z.record(z.string(), z.string())

const TaskYaml = z.object({
  name: z.string().nullish(),
  num_nodes: z.int().min(1).max(64).nullish(),
  setup: z.string().nullish(),
  run: z.string().nullish(),
  envs: scalars.nullish(),
  secrets: scalars.nullish(),
  resources: z.record(z.string(), z.unknown()).nullish(),
  workdir: z.unknown().optional(),
  file_mounts: z.record(z.string(), z.unknown()).nullish(),
  file_mounts_mapping: names.nullish(),
  service: z.record(z.string(), z.unknown()).nullish(),
})
const Header = z.looseObject({ run: z.undefined().optional(), setup: z.undefined().optional() })
type TaskYaml = z.infer<typeof TaskYaml>

const Recovery = z.object({ maxRestarts: z.int(), exitCodes: z.array(z.int()) })
const Autostop = z.object({ idleMinutes: z.int(), down: z.boolean() })
export type Autostop = z.infer<typeof Autostop>

/** What a job runs, on each of its nodes. What came later than the first jobs has a default. */
export const JobTask = z.object({
  name: z.string(),
  numNodes: z.int(),
  setup: z.string().nullable(),
  run: z.string().nullable(),
  envs: names,
  /** As the queue shows it: `1x[H100:2]`. */
  resources: z.string(),
  gpusPerNode: z.int(),
  demand: Demand.default(NO_DEMAND),
  recovery: Recovery.default({ maxRestarts: 0, exitCodes: [] }),
  autostop: Autostop.nullable().default(null),
  /** Files to be there before it begins: a folder that becomes the working directory, and others by their place. */
  workdir: z.string().nullable().default(null),
  fileMounts: names.default({}),
  /** Where its uploaded files came from, by the names that the task has for them. */
  fileMountsMapping: names.default({}),
  blobId: z.string().nullable().default(null),
  /** How many replicas a service wants; null for a task that is none. */
  replicas: z.int().nullable().default(null),
})
export type JobTask = z.infer<typeof JobTask>

/**
 * Reads a task as SkyPilot does: YAML, one document, or a header with the name and then the task.
 * @throws RequestFailure with SkyPilot's own kind of error
 */
export function parseTask(text: string, name: string | null, blobId: string | null = null): JobTask {
  const read = TaskYaml.safeParse(onlyTask(documentsOf(text)))
  if (!read.success) {
    const [issue] = read.error.issues
    throw new RequestFailure('ValueError', `Invalid task YAML: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const given = name ?? read.data.name ?? 'sky-cmd'
  refuseName(given)
  const fileMounts = placesOf(read.data.file_mounts ?? {})
  const task = { ...fill(read.data, given), fileMounts, blobId }
  for (const source of [task.workdir, ...Object.values(fileMounts)]) refuseUnreachable(source, task)
  return task
}

/** What was not uploaded must be a file of this machine. */
function refuseUnreachable(source: string | null, { fileMountsMapping }: JobTask): void {
  if (source === null || source.startsWith('/') || source in fileMountsMapping) return
  throw new RequestFailure(
    'NotSupportedError',
    `"${source}" was not uploaded: use an absolute path of this machine, or a client that uploads.`,
  )
}

/** @throws RequestFailure InvalidClusterNameError */
export function refuseName(name: string): void {
  if (NAME.test(name)) return
  throw new RequestFailure(
    'InvalidClusterNameError',
    `Cluster name "${name}" is invalid; ensure it is fully matched by regex (e.g., only contains letters, numbers and dash): [a-zA-Z]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?`,
  )
}

function documentsOf(text: string): unknown[] {
  try {
    return parseAllDocuments(text).map((document) => {
      const [broken] = document.errors
      if (broken) throw broken
      const value: unknown = document.toJS()
      return value
    })
  } catch (error) {
    throw new RequestFailure(
      'ValueError',
      `Invalid task YAML: ${error instanceof Error ? error.message : ''}`,
    )
  }
}

/** With several documents the first is a header. */
function onlyTask(documents: readonly unknown[]): unknown {
  const given = documents.filter((document) => document !== null)
  if (given.length > 2 || (given.length === 2 && Header.safeParse(given[0]).error))
    throw new RequestFailure('NotSupportedError', 'The local server runs jobs of one task, not pipelines.')
  return given.at(-1) ?? {}
}

const BUCKET = /^[a-z0-9]+:\/\//

/** Places are inside the working directory or the home of the job: what is beside them is somebody else's. */
function placesOf(mounts: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(mounts).map(([place, source]) => {
      if (typeof source !== 'string' || BUCKET.test(source))
        throw new RequestFailure('NotSupportedError', 'The local server mounts no buckets.')
      if (place.startsWith('/') || place.split('/').includes('..'))
        throw new RequestFailure(
          'NotSupportedError',
          `The local server shares this machine's files: "${place}" must be relative, or begin with ~/.`,
        )
      return [place, source]
    }),
  )
}

function fill(task: TaskYaml, name: string): Omit<JobTask, 'fileMounts' | 'blobId'> {
  const envs: Record<string, string> = {}
  for (const [key, value] of Object.entries({ ...task.envs, ...task.secrets }))
    envs[key] = String(value ?? '')
  const demand = demandOf(task.resources)
  const numNodes = task.num_nodes ?? 1
  const { accelerator } = demand
  return {
    name,
    numNodes,
    setup: task.setup ?? null,
    run: task.run || null,
    envs,
    resources: `${numNodes}x[${accelerator === null ? `CPU:${cpusShown(demand)}` : `${accelerator.name}:${accelerator.count}`}]`,
    gpusPerNode: accelerator === null ? 0 : Math.max(1, Math.ceil(accelerator.count)),
    demand,
    recovery: recoveryOf(task.resources?.['job_recovery']),
    autostop: autostopOf(task.resources?.['autostop']),
    workdir: workdirOf(task.workdir),
    fileMountsMapping: task.file_mounts_mapping ?? {},
    replicas: task.service ? replicasOf(task.service) : null,
  }
}

const cpusShown = ({ cpus, cpusOrMore }: Demand): string =>
  cpus === null ? '1+' : `${cpus}${cpusOrMore ? '+' : ''}`

function workdirOf(workdir: unknown): string | null {
  if (workdir == null) return null
  if (typeof workdir !== 'string')
    throw new RequestFailure(
      'NotSupportedError',
      'The local server clones no repositories: workdir is a folder.',
    )
  return workdir
}

const RecoveryYaml = z.object({
  max_restarts_on_errors: z.int().min(0).nullish(),
  recover_on_exit_codes: z.union([z.int().transform((code) => [code]), z.array(z.int())]).nullish(),
})

function recoveryOf(given: unknown): JobTask['recovery'] {
  if (given == null || typeof given === 'string') return { maxRestarts: 0, exitCodes: [] }
  const read = RecoveryYaml.safeParse(given)
  if (!read.success)
    throw new RequestFailure('ValueError', `Invalid job_recovery: ${read.error.issues[0]?.message}`)
  return {
    maxRestarts: read.data.max_restarts_on_errors ?? 0,
    exitCodes: read.data.recover_on_exit_codes ?? [],
  }
}

const AutostopYaml = z.union([
  z.boolean().transform((on) => (on ? { idleMinutes: 5, down: false } : null)),
  z.int().transform((idleMinutes) => ({ idleMinutes, down: false })),
  z
    .string()
    .regex(/^\d+m?$/)
    .transform((text) => ({ idleMinutes: Number.parseInt(text, 10), down: false })),
  z
    .object({ idle_minutes: z.int().min(0).nullish(), down: z.boolean().nullish() })
    .transform(({ idle_minutes: minutes, down }) => ({ idleMinutes: minutes ?? 5, down: down ?? false })),
])

function autostopOf(given: unknown): Autostop | null {
  if (given == null) return null
  const read = AutostopYaml.safeParse(given)
  if (!read.success) throw new RequestFailure('ValueError', 'Invalid autostop in resources')
  return read.data
}

function replicasOf(service: Readonly<Record<string, unknown>>): number {
  const policy = z.object({ min_replicas: z.int() }).safeParse(service['replica_policy'])
  const fixed = z.int().min(0).max(64).safeParse(service['replicas'])
  if (fixed.success) return fixed.data
  return policy.success ? policy.data.min_replicas : 1
}
