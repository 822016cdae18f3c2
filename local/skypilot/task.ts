import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { RequestFailure } from './requests.ts'

const NAME = /^[a-zA-Z](?:[-_.a-zA-Z0-9]*[a-zA-Z0-9])?$/
const scalars = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]))

const TaskYaml = z.object({
  name: z.string().nullish(),
  num_nodes: z.int().min(1).max(64).nullish(),
  setup: z.string().nullish(),
  run: z.string().nullish(),
  envs: scalars.nullish(),
  secrets: scalars.nullish(),
  resources: z.record(z.string(), z.unknown()).nullish(),
})

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
 * Reads a task as SkyPilot does: YAML, one document or a header with tasks after it, of which the first is taken.
 * @throws RequestFailure with SkyPilot's own kind of error
 */
export function parseTask(text: string, name: string | null): JobTask {
  const documents = parseAllDocuments(text)
  const broken = documents.flatMap((document) => ('errors' in document ? document.errors : []))[0]
  if (broken) throw new RequestFailure('ValueError', `Invalid task YAML: ${broken.message}`)
  const values = documents.map((document) => {
    const value: unknown = document.toJS()
    return value
  })
  const task = TaskYaml.safeParse(values.findLast((value) => value !== null) ?? {})
  if (!task.success) {
    const [issue] = task.error.issues
    throw new RequestFailure('ValueError', `Invalid task YAML: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const given = name ?? task.data.name ?? 'sky-cmd'
  if (!NAME.test(given))
    throw new RequestFailure(
      'InvalidClusterNameError',
      `Cluster name "${given}" is invalid; ensure it is fully matched by regex (e.g., only contains letters, numbers and dash): [a-zA-Z]([-_.a-zA-Z0-9]*[a-zA-Z0-9])?`,
    )
  return fill(task.data, given)
}

function fill(task: z.infer<typeof TaskYaml>, name: string): JobTask {
  const envs: Record<string, string> = {}
  for (const [key, value] of Object.entries({ ...task.envs, ...task.secrets }))
    envs[key] = String(value ?? '')
  const accelerators = task.resources?.['accelerators']
  const gpus = typeof accelerators === 'string' ? accelerators : ''
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
