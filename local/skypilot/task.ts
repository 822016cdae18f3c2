import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { RequestFailure } from './requests.ts'

const NAME = /^[a-zA-Z](?:[-_.a-zA-Z0-9]*[a-zA-Z0-9])?$/
const Cpus = z.union([z.number(), z.string().regex(/^\d+(?:\.\d+)?\+?$/)]).nullish()
const scalars = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))

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
})
const Header = z.looseObject({ run: z.undefined().optional(), setup: z.undefined().optional() })
type TaskYaml = z.infer<typeof TaskYaml>

/** What a job runs, on each of its nodes. */
export interface JobTask {
  name: string
  numNodes: number
  setup: string | null
  run: string | null
  envs: Record<string, string>
  resources: string
  gpusPerNode: number
}

/**
 * Reads a task as SkyPilot does: YAML, one document, or a header with the name and then the task.
 * @throws RequestFailure with SkyPilot's own kind of error
 */
export function parseTask(text: string, name: string | null): JobTask {
  const read = TaskYaml.safeParse(onlyTask(documentsOf(text)))
  if (!read.success) {
    const [issue] = read.error.issues
    throw new RequestFailure('ValueError', `Invalid task YAML: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const given = name ?? read.data.name ?? 'sky-cmd'
  if (!NAME.test(given))
    throw new RequestFailure(
      'InvalidClusterNameError',
      `Cluster name "${given}" is invalid; ensure it is fully matched by regex (e.g., only contains letters, numbers and dash): [a-zA-Z]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?`,
    )
  refuseUnsupported(read.data)
  return fill(read.data, given)
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

function refuseUnsupported(task: TaskYaml): void {
  const cpus = Cpus.safeParse(task.resources?.['cpus'])
  if (!cpus.success)
    throw new RequestFailure(
      'ValueError',
      `The "cpus" field should be either a number or a string "<number>+". Found: '${JSON.stringify(task.resources?.['cpus'])}'`,
    )
  if (task.workdir != null || Object.keys(task.file_mounts ?? {}).length > 0)
    throw new RequestFailure(
      'NotSupportedError',
      'The local server copies no files: leave out workdir and file_mounts, and use absolute paths of this machine.',
    )
}

function fill(task: TaskYaml, name: string): JobTask {
  const envs: Record<string, string> = {}
  for (const [key, value] of Object.entries({ ...task.envs, ...task.secrets }))
    envs[key] = String(value ?? '')
  const gpus = acceleratorsOf(task.resources?.['accelerators'])
  const numNodes = task.num_nodes ?? 1
  return {
    name,
    numNodes,
    setup: task.setup ?? null,
    run: task.run ?? null,
    envs,
    resources: `${numNodes}x[${gpus === '' ? 'CPU:1' : gpus}]`,
    gpusPerNode: gpus === '' ? 0 : Math.max(1, Number(gpus.split(':')[1] ?? '1') || 1),
  }
}

/** `H100:2`, or the same as a map. */
function acceleratorsOf(value: unknown): string {
  if (typeof value === 'string') return value
  const map = z.record(z.string(), z.number()).safeParse(value)
  const [first] = map.success ? Object.entries(map.data) : []
  return first === undefined ? '' : first.join(':')
}
