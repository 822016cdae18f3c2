import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, vi } from 'vitest'
import { startLocalSkyPilot } from '../../local/skypilot/server.ts'
import { createSkyPilot, type SkyPilot } from '../../skypilot/client.ts'
import { type Able, type Capability, CAPABILITIES } from './capabilities.ts'

/** The real server that the suite talks to, if any. */
const endpoint = process.env['SKYDECK_CONTRACT_ENDPOINT']
const infra = process.env['SKYDECK_CONTRACT_INFRA']

export const isReal = endpoint !== undefined
/** How long one step may take: real machines, several launches beside each other. */
export const STEP_MS = isReal ? 600_000 : 20_000
/** How long a whole test may take. */
export const TEST_MS = 2 * STEP_MS
const POLL_MS = isReal ? 2_000 : 50
/** Listing the managed queue costs a real server 2.5 CPU-seconds, so all who wait share one listing. */
const LISTING_MS = isReal ? 10_000 : 50
const STAMP = Date.now().toString(36)

/** Names of this run, so that what an earlier one left behind does not disturb. */
export const nameOf = (what: string): string => `contract-${STAMP}-${what}`

/** A task that runs where the suite runs. JSON is YAML. */
export const taskOf = (task: { resources?: Record<string, unknown> } & Record<string, unknown>): string =>
  JSON.stringify({
    ...task,
    resources: { ...(infra ? { infra } : {}), cpus: 1, ...task.resources },
  })

/** Whether the server can do it: true, or why not. */
export const can = (capability: Capability): Able => CAPABILITIES[capability][isReal ? 'real' : 'local']

/** Leaves a test out, with the reason, where the server cannot do what it needs. */
export function needs(capability: Capability, { skip }: TestContext): void {
  const able = can(capability)
  if (able !== true) skip(`${capability}: ${able}`)
}

export type ContractServer = Awaited<ReturnType<typeof startContractServer>>

/** The server under test, and what the tests of it have in common. `close` takes down what they launched. */
export async function startContractServer() {
  const home = mkdtempSync(join(tmpdir(), 'skydeck-contract-'))
  const local = isReal
    ? undefined
    : await startLocalSkyPilot({
        home,
        port: 0,
        slots: 8,
        graceMs: 2_000,
        // Long enough to be caught in the act.
        settings: { provisionMs: 1_500 },
      })
  const sky = createSkyPilot({ endpoint: endpoint ?? local?.url ?? '', timeoutMs: 60_000 })
  return {
    sky,
    managed: managedJobs(sky),
    async close() {
      await local?.close()
      rmSync(home, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/** Waits for a level, bounded. */
export const until = <T>(look: () => Promise<T>, pollMs = POLL_MS): Promise<T> =>
  vi.waitFor(look, { timeout: STEP_MS, interval: pollMs })

/** All lines of a log. */
export async function textOf(lines: Promise<AsyncIterable<string>>): Promise<string> {
  const all: string[] = []
  for await (const line of await lines) all.push(line)
  return all.join('\n')
}

/** All that a download brought, as one text; `download` gets a folder for it. */
export async function downloaded(
  download: (into: string) => Promise<ReadonlyMap<number, string>>,
): Promise<string> {
  const into = mkdtempSync(join(tmpdir(), 'skydeck-download-'))
  try {
    const folders = [...(await download(into)).values()]
    const files = folders.flatMap((folder) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name)),
    )
    return files.map((file) => readFileSync(file, 'utf8')).join('\n')
  } finally {
    rmSync(into, { recursive: true, force: true })
  }
}

/** How an error is to be told apart: `rejected ClusterDoesNotExist`. A success is `ok`. */
export const outcomeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => {
      const { kind, exceptionName } = error as { kind?: string; exceptionName?: string | null }
      return kind === undefined ? String(error) : [kind, exceptionName].filter(Boolean).join(' ')
    },
  )

/** Launching managed jobs and waiting for them. */
function managedJobs(sky: SkyPilot) {
  let listing: { atMs: number; jobs: ReturnType<typeof list> } | undefined
  const list = async () => (await sky.jobs.queue({ nameMatch: STAMP })).jobs
  const listed = () => {
    if (!listing || Date.now() - listing.atMs > LISTING_MS) listing = { atMs: Date.now(), jobs: list() }
    return listing.jobs
  }
  return {
    async launch(what: string, task: Record<string, unknown>): Promise<number> {
      const name = nameOf(what)
      const request = await sky.jobs.launch({ name, task: taskOf({ name, ...task }) })
      const [jobId] = (await request.result({ timeoutMs: STEP_MS })).jobIds
      if (jobId === undefined) throw new Error('a launch that names no job')
      return jobId
    },

    /** Waits until the job is as it should be, and gives its row. */
    until: (jobId: number, isIt: (row: { status: string; scheduleState: string | null }) => boolean) =>
      until(async () => {
        const row = (await listed()).find((each) => each.jobId === jobId)
        if (!row || !isIt(row)) throw new Error(`job ${jobId} is ${row?.status} (${row?.scheduleState})`)
        return row
      }),
  }
}
