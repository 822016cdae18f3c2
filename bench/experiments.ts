import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { z } from 'zod'
import { type DesiredState, type ExperimentInfo, SkyDeckError } from '../sdk/client.ts'
import type { Desk } from './desk.ts'
import { until } from './until.ts'

/** As many as make the machine busy and leave no request waiting for long. */
const AT_ONCE = 20

const SETTLED_WITHIN_MS = 3_600_000
const BUSY_MS = 250

/** Does the work for each item, a few at a time. */
export async function forEachOf<T>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
  atOnce: number = AT_ONCE,
): Promise<void> {
  const waiting = items.entries()
  const doer = async (): Promise<void> => {
    for (const [index, item] of waiting) await work(item, index)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, doer))
}

/** Numbers from 0. */
export const range = (count: number): number[] => [...Array(count).keys()]

export interface Created {
  prefix: string
  count: number
  /** The number that the first name carries. */
  from?: number
  desiredState?: DesiredState
  actor?: string
  /** How many requests are under way at once. */
  atOnce?: number
}

/** Creates experiments as people do, over HTTP. Returns them in the order of their names. */
export async function create(desk: Desk, given: Created): Promise<ExperimentInfo[]> {
  const { prefix, count, from = 0, desiredState = 'STOPPED', actor = 'bench', atOnce } = given
  const sdk = desk.client(actor)
  const made: ExperimentInfo[] = []
  const createOne = async (index: number): Promise<void> => {
    const name = `${prefix}-${from + index}`
    const flags = { seed: index, lr: 0.001 }
    made[index] = await insistently(() =>
      sdk.create({ name, command: 'python train.py {flags}', flags, desiredState }),
    )
  }
  await forEachOf(range(count), createOne, atOnce)
  return made
}

/** So often a wish is sent again before the bench gives up; the pauses between grow. */
const TRIES_MAX = 30

/**
 * Under a storm Temporal may be too busy for a moment, which the desk says with 503; asking again is right then.
 * Calls back for each time that this was so.
 */
export async function insistently<T>(ask: () => Promise<T>, onBusy?: () => void): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask()
    } catch (error) {
      if (!(error instanceof SkyDeckError) || error.status !== 503 || tries === TRIES_MAX) throw error
      onBusy?.()
      await sleep(BUSY_MS * tries)
    }
  }
}

const Total = z.object({ total: z.int() })

/** How many experiments the console shows in this phase. */
export async function countIn(desk: Desk, phase: string): Promise<number> {
  const answer = await fetch(`${desk.url}/api/experiments?phase=${phase}&limit=1`)
  return Total.parse(await answer.json()).total
}

/** Waits until the console shows this many experiments in the phase. @throws Error after an hour */
export async function untilIn(desk: Desk, phase: string, count: number): Promise<void> {
  await until(
    SETTLED_WITHIN_MS,
    `${count} experiments are ${phase}`,
    async () => (await countIn(desk, phase)) >= count,
  )
}

/**
 * Waits until the workflow of every experiment has had its first task and told the tables of it: a row says idle from
 * the beginning, while thousands of first tasks may still wait for the worker. @throws Error after an hour
 */
export async function untilAllBegan(desk: Desk): Promise<void> {
  const client = new pg.Client({ connectionString: desk.databaseUrl })
  await client.connect()
  try {
    await until(SETTLED_WITHIN_MS, 'the workflow of every experiment has begun', async () => {
      const { rowCount } = await client.query('select from experiment where revision = 0 limit 1')
      return rowCount === 0
    })
  } finally {
    await client.end()
  }
}

/** How many events each workflow's current run has, in the order of the ids. */
export async function historyLengths(desk: Desk, workflowIds: readonly string[]): Promise<number[]> {
  const lengths: number[] = []
  await forEachOf(workflowIds, async (id, index) => {
    lengths[index] = (await desk.temporal.workflow.getHandle(id).describe()).historyLength
  })
  return lengths
}
