import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { z } from 'zod'
import { startPostgres } from '../local/postgres.ts'
import { environmentOf, startWeb } from '../local/services.ts'
import { Supervisor } from '../local/supervisor.ts'
import { findTemporal } from '../local/temporal-binary.ts'
import { startTemporal } from '../local/temporal.ts'
import { readSettings, type Settings } from '../runtime/env.ts'
import { SkyDeck } from '../sdk/client.ts'
import { WORKFLOW_TASK_QUEUE } from '../workflows/definitions.ts'
import { bareBundle } from './bare/bundle.ts'
import { CountingSkyPilot } from './counting-skypilot.ts'
import { until } from './until.ts'
import { cpuMsOf, treeCpuMsOf } from './machine.ts'

const DIST = fileURLToPath(new URL('../dist/', import.meta.url))
const COLLECT_GARBAGE = new URL('collect-garbage.ts', import.meta.url).href
const READY_WITHIN_MS = 90_000

export const BARE_TASK_QUEUE = 'bare'

/** The processes whose CPU time can be asked for. `bench` is this one: the client of the baselines. */
export type Part = 'postgres' | 'temporal' | 'worker' | 'web' | 'bare' | 'bench'

export interface DeskOptions {
  /** How often the look-out asks SkyPilot. */
  pollIntervalMs: number
  workers?: number
  /** How many workers of the baselines; none unless said. */
  bareWorkers?: number
  /** Lets all workers give back every second what they do not need, and note what is left in the home (heaps.ts). */
  tidyWorkers?: boolean
}

interface Addresses {
  databaseUrl: string
  temporalAddress: string
  temporalUiUrl: null
  skypilotEndpoint: string
}

/** What the supervisor writes down of the processes that it keeps. */
const Pids = z.array(z.object({ name: z.string(), pid: z.number() }))

const open = new Set<Desk>()

/** Ends every desk that still runs, for a bench that is told to stop half-way. */
export const stopAllDesks = async (): Promise<void> => {
  await Promise.all([...open].map((desk) => desk.stop()))
}

/**
 * A whole SkyDeck from `dist/` in a home of its own: Postgres, Temporal, workers and console as people run them, and
 * beside them a SkyPilot that only counts.
 */
export class Desk {
  readonly home = mkdtempSync(join(tmpdir(), 'skydeck-bench-'))
  readonly #supervisor = new Supervisor(this.home, (line) => process.stderr.write(`${line}\n`))
  readonly #count = { worker: 0, bare: 0 }
  /** The heap is as large as the program itself gives its worker. */
  readonly #nodeArgs = ['--max-old-space-size=512']
  readonly #nodeEnv: Record<string, string> = {}
  readonly skypilot: CountingSkyPilot
  #parts: { addresses: Addresses; settings: Settings; url: string; temporal: Client } | undefined

  private constructor(skypilot: CountingSkyPilot) {
    this.skypilot = skypilot
    open.add(this)
  }

  /** Starts all parts and waits until they answer. */
  static async start(options: DeskOptions): Promise<Desk> {
    const desk = new Desk(await CountingSkyPilot.start())
    try {
      await desk.#start(options)
    } catch (error) {
      await desk.stop()
      throw error
    }
    return desk
  }

  async #start({
    pollIntervalMs,
    workers = 1,
    bareWorkers = 0,
    tidyWorkers = false,
  }: DeskOptions): Promise<void> {
    if (tidyWorkers) {
      this.#nodeArgs.push(
        '--expose-gc',
        '--import',
        `${COLLECT_GARBAGE}?folder=${encodeURIComponent(this.home)}`,
      )
      // Otherwise each thread keeps a store of its own of what was freed.
      this.#nodeEnv['MALLOC_ARENA_MAX'] = '1'
    }
    // Postgres runs as a user of its own where we are root, and must be able to walk through.
    chmodSync(this.home, 0o755)
    const ports = await freePorts(4)
    const [web = 0, temporalPort = 0, uiPort = 0, postgresPort = 0] = ports
    const settings = readSettings({
      HOME: homedir(),
      SKYDECK_HOME: this.home,
      SKYDECK_PORT: String(web),
      SKYDECK_LOG_LEVEL: 'warn',
      SKYDECK_POLL_INTERVAL: String(pollIntervalMs / 1_000),
    })
    const { bin, cache } = temporalPlace()
    const binary = await findTemporal({ bin, home: cache, log: say })
    const wish = { binary, home: this.home, port: temporalPort, uiPort, namespace: 'default' }
    const [databaseUrl, temporalAddress] = await Promise.all([
      startPostgres(this.#supervisor, this.home, postgresPort),
      startTemporal(this.#supervisor, wish),
    ])
    const addresses = {
      databaseUrl,
      temporalAddress,
      temporalUiUrl: null,
      skypilotEndpoint: this.skypilot.url,
    }
    const temporal = new Client({ connection: await Connection.connect({ address: temporalAddress }) })
    this.#parts = { addresses, settings, temporal, url: `http://127.0.0.1:${web}` }
    for (let number = 0; number < workers; number += 1) await this.#startWorker()
    await startWeb(this.#supervisor, settings, addresses, DIST)
    for (let number = 0; number < bareWorkers; number += 1) await this.#startBareWorker()
  }

  get #started() {
    if (!this.#parts) throw new Error('the desk did not start')
    return this.#parts
  }

  get url(): string {
    return this.#started.url
  }

  get temporal(): Client {
    return this.#started.temporal
  }

  get databaseUrl(): string {
    return this.#started.addresses.databaseUrl
  }

  get postgresLog(): string {
    return join(this.home, 'logs', 'postgres.log')
  }

  /** A client of this desk; wishes appear under the actor's name. */
  client(actor: string): SkyDeck {
    return new SkyDeck({ url: this.url, actor })
  }

  /** Starts one more worker, as the program itself does. */
  async #startWorker(): Promise<void> {
    const { settings, addresses } = this.#started
    await this.#startNode('worker', [join(DIST, 'worker/main.js')], environmentOf(settings, addresses))
  }

  /** Starts one more worker of the baselines. */
  async #startBareWorker(): Promise<void> {
    const script = fileURLToPath(new URL('bare/worker.ts', import.meta.url))
    const bundle = join(this.home, 'bare-bundle.js')
    if (!existsSync(bundle)) writeFileSync(bundle, await bareBundle())
    const { temporalAddress } = this.#started.addresses
    const args = [script, '--address', temporalAddress, '--task-queue', BARE_TASK_QUEUE, '--bundle', bundle]
    await this.#startNode('bare', args, {})
  }

  async #startNode(part: 'worker' | 'bare', args: string[], env: Record<string, string>): Promise<void> {
    const number = this.#count[part] + 1
    this.#count[part] = number
    const name = number === 1 ? part : `${part}-${number}`
    const all = [...this.#nodeArgs, ...args]
    await this.#supervisor.start({
      name,
      command: process.execPath,
      args: all,
      env: { ...env, ...this.#nodeEnv },
    })
    await this.untilPolling(part)
  }

  /** Waits until every worker of this kind asks Temporal for work. @throws Error when one does not in time */
  async untilPolling(part: 'worker' | 'bare'): Promise<void> {
    const taskQueue = part === 'worker' ? WORKFLOW_TASK_QUEUE : BARE_TASK_QUEUE
    await until(READY_WITHIN_MS, `every ${part} asks for work`, async () => {
      const pids = this.pids(part)
      return pids.length > 0 && (await this.#areAllPolling(pids, taskQueue))
    })
  }

  async #areAllPolling(pids: readonly number[], taskQueue: string): Promise<boolean> {
    const { pollers } = await this.temporal.connection.workflowService.describeTaskQueue({
      namespace: 'default',
      taskQueue: { name: taskQueue },
    })
    const asking = new Set((pollers ?? []).map(({ identity }) => Number.parseInt(identity ?? '', 10)))
    return pids.every((pid) => asking.has(pid))
  }

  /** The process numbers of a part, as far as they run. */
  pids(part: Part): number[] {
    if (part === 'bench') return [process.pid]
    const running = Pids.parse(JSON.parse(readFileSync(join(this.home, 'pids.json'), 'utf8')))
    return running.filter(({ name }) => name.replace(/-\d+$/, '') === part).map(({ pid }) => pid)
  }

  /** CPU time that these parts have used since they began, in ms. */
  cpuMs(parts: readonly Part[]): number {
    const each = (part: Part, pid: number): number => (part === 'postgres' ? treeCpuMsOf(pid) : cpuMsOf(pid))
    return parts
      .flatMap((part) => this.pids(part).map((pid) => each(part, pid)))
      .reduce((sum, ms) => sum + ms, 0)
  }

  /** Ends all of it and removes the home. */
  async stop(): Promise<void> {
    if (!open.delete(this)) return
    await this.#parts?.temporal.connection.close()
    await this.#supervisor.stop()
    await this.skypilot.close()
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 })
  }
}

const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Where Temporal's program is looked for: as for the program itself, so that it is fetched once. */
function temporalPlace(): { bin: string | null; cache: string } {
  const { temporalBin, home } = readSettings()
  return { bin: temporalBin, cache: home }
}

/** Ports of the loopback that are free now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => {
            const address = server.address()
            resolve(typeof address === 'object' && address ? address.port : 0)
          })
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
