import { z } from 'zod'
import { RequestFailure } from './requests.ts'
import type { Settings } from './settings.ts'

/** What each node of a task wants. */
export const Demand = z.object({
  cpus: z.number().nullable(),
  /** Whether more would do as well. */
  cpusOrMore: z.boolean(),
  memoryGb: z.number().nullable(),
  accelerator: z.object({ name: z.string(), count: z.number() }).nullable(),
})
export type Demand = z.infer<typeof Demand>

export const NO_DEMAND: Demand = { cpus: null, cpusOrMore: false, memoryGb: null, accelerator: null }

const AMOUNT = /^(\d+(?:\.\d+)?)([+x]?)$/

/**
 * Reads `resources` of a task. Of several alternatives the first counts.
 * @throws RequestFailure as SkyPilot says it
 */
export function demandOf(resources: Readonly<Record<string, unknown>> | null | undefined): Demand {
  const given = firstChoice(resources ?? {})
  const cpus = amountOf(given['cpus'])
  if (cpus === undefined)
    throw new RequestFailure(
      'ValueError',
      `The "cpus" field should be either a number or a string "<number>+". Found: ${quoted(given['cpus'])}`,
    )
  const memory = amountOf(given['memory'])
  if (memory === undefined)
    throw new RequestFailure(
      'ValueError',
      `The "memory" field should be either a number or a string "<number>+". Found: ${quoted(given['memory'])}`,
    )
  return {
    cpus: cpus?.number ?? null,
    cpusOrMore: cpus?.sign === '+',
    memoryGb: memory?.number ?? null,
    accelerator: acceleratorOf(given['accelerators']),
  }
}

/** Python's way to show a text. */
const quoted = (value: unknown): string =>
  typeof value === 'string' ? `'${value}'` : `'${JSON.stringify(value)}'`

function firstChoice(resources: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const choices = z
    .array(z.record(z.string(), z.unknown()))
    .min(1)
    .safeParse(resources['any_of'] ?? resources['ordered'])
  return choices.success ? { ...resources, ...choices.data[0] } : resources
}

/** Null when there is none, undefined when it cannot be read. */
function amountOf(value: unknown): { number: number; sign: string } | null | undefined {
  if (value == null) return null
  if (typeof value === 'number') return { number: value, sign: '' }
  const [, number, sign] = (typeof value === 'string' && AMOUNT.exec(value)) || []
  return number === undefined ? undefined : { number: Number(number), sign: sign ?? '' }
}

/** `H100:2`, or the same as a map. Of a list the first. */
function acceleratorOf(value: unknown): Demand['accelerator'] {
  if (typeof value === 'string' && value !== '') {
    const [name = '', count] = value.split(':')
    return { name, count: Number(count ?? '1') || 1 }
  }
  if (Array.isArray(value)) return acceleratorOf(value[0])
  const map = z.record(z.string(), z.number().nullable()).safeParse(value)
  const [first] = map.success ? Object.entries(map.data) : []
  return first === undefined ? null : { name: first[0], count: first[1] ?? 1 }
}

/**
 * Refuses what no machine here could ever have.
 * @throws RequestFailure ResourcesUnavailableError, in SkyPilot's words
 */
export function refuseInfeasible(demand: Demand, numNodes: number, settings: Settings): void {
  const { accelerator } = demand
  const most = accelerator === null ? 0 : (settings.accelerators[accelerator.name] ?? 0)
  const fits =
    (demand.cpus ?? 0) <= settings.cpus &&
    (demand.memoryGb ?? 0) <= settings.memoryGb &&
    (accelerator === null || accelerator.count <= most)
  if (fits) return
  throw new RequestFailure(
    'ResourcesUnavailableError',
    `Catalog does not contain any instances satisfying the request: ${shown(demand, numNodes)}.\n` +
      'To fix: relax or change the resource requirements.\n\n' +
      'Hint: sky gpus list to list available accelerators.\n      sky check to check the enabled clouds.',
  )
}

/** A demand as SkyPilot shows it: `1x Local(cpus=4)`. */
export function shown(demand: Demand, numNodes: number): string {
  const parts = [
    demand.cpus === null ? '' : `cpus=${demand.cpus}${demand.cpusOrMore ? '+' : ''}`,
    demand.memoryGb === null ? '' : `mem=${demand.memoryGb}`,
    demand.accelerator === null ? '' : `{'${demand.accelerator.name}': ${demand.accelerator.count}}`,
  ].filter((part) => part !== '')
  return `${numNodes}x Local(${parts.join(', ')})`
}

/** Whether a task fits on a cluster that was launched for another. What it does not ask for it takes as it is. */
export function fitsOn(
  task: { demand: Demand; numNodes: number },
  cluster: { demand: Demand; numNodes: number },
): boolean {
  const { accelerator: wanted } = task.demand
  const { accelerator: there } = cluster.demand
  return (
    task.numNodes <= cluster.numNodes &&
    (task.demand.cpus ?? 0) <= (cluster.demand.cpus ?? Number.POSITIVE_INFINITY) &&
    (task.demand.memoryGb ?? 0) <= (cluster.demand.memoryGb ?? Number.POSITIVE_INFINITY) &&
    (wanted === null || (there !== null && wanted.name === there.name && wanted.count <= there.count))
  )
}
