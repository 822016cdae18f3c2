import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client, Connection } from '@temporalio/client'
import { inject } from 'vitest'
import { SkyDeck } from '../../sdk/client.ts'
import { freePort } from './ports.ts'

const MAIN = new URL('../../dist/local/main.js', import.meta.url).pathname
const START_MS = 90_000

interface Pid {
  name: string
  pid: number
}

/** A whole SkyDeck in a home of its own, as `npm start` runs it. */
export class TestDesk {
  readonly home = mkdtempSync(join(tmpdir(), 'skydeck-test-'))
  readonly #env: Record<string, string>
  readonly url: string
  readonly skypilotUrl: string
  readonly sdk: SkyDeck
  output = ''
  #main: ChildProcess | undefined

  private constructor(
    ports: Record<'web' | 'temporal' | 'ui' | 'postgres' | 'skypilot', number>,
    slots: number,
    more: Readonly<Record<string, string>>,
  ) {
    this.url = `http://127.0.0.1:${ports.web}`
    this.skypilotUrl = `http://127.0.0.1:${ports.skypilot}`
    this.sdk = new SkyDeck({ url: this.url, actor: 'test' })
    this.#env = {
      PATH: process.env['PATH'] ?? '',
      HOME: this.home,
      SKYDECK_HOME: join(this.home, 'desk'),
      SKYDECK_TEMPORAL_BIN: inject('temporalBin'),
      SKYDECK_PORT: String(ports.web),
      SKYDECK_TEMPORAL_PORT: String(ports.temporal),
      SKYDECK_TEMPORAL_UI_PORT: String(ports.ui),
      SKYDECK_POSTGRES_PORT: String(ports.postgres),
      SKYDECK_SKYPILOT_PORT: String(ports.skypilot),
      SKYDECK_LOCAL_SLOTS: String(slots),
      ...more,
    }
  }

  /** `more` is environment that it gets on top, such as another SkyPilot to work with. */
  static async create(slots = 50, more: Readonly<Record<string, string>> = {}): Promise<TestDesk> {
    const [web, temporal, ui, postgres, skypilot] = await Promise.all(Array.from({ length: 5 }, freePort))
    const desk = new TestDesk(
      { web: web!, temporal: temporal!, ui: ui!, postgres: postgres!, skypilot: skypilot! },
      slots,
      more,
    )
    try {
      await desk.start()
    } catch (error) {
      await desk.dispose()
      throw error
    }
    return desk
  }

  /** Starts it, and waits until it says that it is ready. */
  async start(args: readonly string[] = []): Promise<void> {
    const main = spawn(process.execPath, [MAIN, ...args], {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#main = main
    this.output = ''
    main.stdout.on('data', (chunk: Buffer) => (this.output += chunk.toString()))
    main.stderr.on('data', (chunk: Buffer) => (this.output += chunk.toString()))
    await until(START_MS, () => main.exitCode !== null || this.output.includes('SkyDeck is ready'))
    if (main.exitCode !== null) throw new Error(`it did not start: ${this.output}`)
  }

  /** Runs a second one on the same home; gives its exit code and what it said. */
  startAgain(): Promise<{ code: number | null; output: string }> {
    return new Promise((resolve) => {
      const second = spawn(process.execPath, [MAIN], { env: this.#env, stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      second.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
      second.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()))
      second.on('exit', (code) => resolve({ code, output }))
    })
  }

  /** The processes of the stack, beside the one that keeps them. */
  pids(): Pid[] {
    return JSON.parse(readFileSync(join(this.home, 'desk', 'pids.json'), 'utf8')) as Pid[]
  }

  /** Stops a process and its children where they are, so that nobody starts them again; gives how to let them go on. */
  freeze(name: string): () => void {
    const found = this.pids().find((each) => each.name === name)
    if (!found) throw new Error(`${name} does not run`)
    // What a frozen database has accepted already would go on with its backends.
    const all = [found.pid, ...childrenOf(found.pid)]
    for (const pid of all) process.kill(pid, 'SIGSTOP')
    return () => {
      for (const pid of all.splice(0)) if (isAlive(pid)) process.kill(pid, 'SIGCONT')
    }
  }

  /** The process that keeps the others; frozen it starts nothing again. */
  get mainPid(): number {
    return this.#main?.pid ?? 0
  }

  kill(name: string): void {
    const found = this.pids().find((each) => each.name === name)
    if (!found) throw new Error(`${name} does not run`)
    process.kill(found.pid, 'SIGKILL')
  }

  /** As if the power went: nothing can tidy up. Jobs are not ours, so they stay. */
  async killEverything(): Promise<void> {
    const pids = this.pids()
    this.#main?.kill('SIGKILL')
    for (const { pid } of pids) process.kill(pid, 'SIGKILL')
    await until(10_000, () => !pids.some(({ pid }) => isAlive(pid)))
  }

  /** Ends it the polite way. Gives the processes that are left. */
  async stop(): Promise<Pid[]> {
    const pids = this.pids()
    const main = this.#main!
    const ended = new Promise((resolve) => main.once('exit', resolve))
    main.kill('SIGTERM')
    await ended
    return pids.filter(({ pid }) => isAlive(pid))
  }

  /** Ends it and removes all that it made, jobs too. */
  async dispose(): Promise<void> {
    if (this.#main && this.#main.exitCode === null && this.#main.signalCode === null) await this.stop()
    // Jobs are nobody's children, so they are found by their surroundings.
    for (const pid of processesIn(this.home)) process.kill(pid, 'SIGKILL')
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 })
  }

  get temporalAddress(): string {
    return `127.0.0.1:${this.#env['SKYDECK_TEMPORAL_PORT']}`
  }

  async temporal(): Promise<Client> {
    return new Client({ connection: await Connection.connect({ address: this.temporalAddress }) })
  }

  get databaseUrl(): string {
    const password = readFileSync(join(this.home, 'desk', 'postgres-password'), 'utf8').trim()
    return `postgres://skydeck:${password}@127.0.0.1:${this.#env['SKYDECK_POSTGRES_PORT']}/skydeck`
  }

  /** What the processes said that someone should look at, for a test that failed. */
  async story(): Promise<string> {
    const folder = join(this.home, 'desk', 'logs')
    const logs = readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => {
        const lines = readFileSync(join(folder, name), 'utf8').split('\n')
        const loud = lines.filter((line) => !line.includes('"level":30')).slice(-15)
        return [`--- ${name}`, ...loud.map((line) => line.slice(0, 500))].join('\n')
      })
    return [this.output, ...logs, '--- histories', await this.#histories()].join('\n')
  }

  /** The last events of the two workflows that matter, and what they wait for. */
  async #histories(): Promise<string> {
    try {
      const temporal = await this.temporal()
      const pieces = ['fleet', 'experiment-1'].map(async (id) => {
        const handle = temporal.workflow.getHandle(id)
        const { events } = await handle.fetchHistory()
        const { pendingActivities, pendingWorkflowTask } = (await handle.describe()).raw
        const lines = (events ?? []).map((event) => {
          const key = Object.keys(event).find((each) => each.endsWith('Attributes')) ?? ''
          return `${event.eventTime?.seconds} ${key} ${key.includes('Failed') ? JSON.stringify(event) : ''}`
        })
        return [id, ...lines.slice(-25), JSON.stringify({ pendingActivities, pendingWorkflowTask })].join(
          '\n',
        )
      })
      return (await Promise.all(pieces)).join('\n')
    } catch (error) {
      return String(error)
    }
  }

  async faults(faults: readonly Record<string, unknown>[]): Promise<void> {
    await this.#post('/local/faults', faults)
  }

  /** Changes how the cloud of the local SkyPilot behaves. */
  async settings(settings: Record<string, unknown>): Promise<void> {
    await this.#post('/local/settings', settings)
  }

  /** Asks the local SkyPilot for something behind SkyDeck's back. */
  async skypilot(path: string, body: Record<string, unknown>): Promise<void> {
    await this.#post(path, body)
  }

  async #post(path: string, body: unknown): Promise<void> {
    const answer = await fetch(this.skypilotUrl + path, { method: 'POST', body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(await answer.text())
  }

  async ledger(): Promise<Array<{ effect: string; job_id: number; name: string }>> {
    return (await (await fetch(`${this.skypilotUrl}/local/ledger`)).json()) as never
  }

  /** What the local SkyPilot says of all its jobs, by its ledger: how many were ever submitted under this name. */
  async submitted(prefix: string): Promise<number> {
    return (await this.ledger()).filter(
      ({ effect, name }) => effect === 'submitted' && name.startsWith(prefix),
    ).length
  }
}

/** Waits for a level, bounded. Unlike expect.poll it may be used outside of a test. */
async function until(ms: number, isReached: () => boolean): Promise<void> {
  for (const untilMs = Date.now() + ms; !isReached();) {
    if (Date.now() > untilMs) throw new Error(`not reached within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const childrenOf = (parent: number): number[] =>
  execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, ppid]) => ppid === parent)
    .map(([pid = 0]) => pid)

/** Living processes whose command line holds this text. */
export function processesWith(text: string): number[] {
  const all = execFileSync('ps', ['-eo', 'pid=,args='], { encoding: 'utf8' })
  return all
    .split('\n')
    .filter((line) => line.includes(text))
    .map((line) => Number(line.trim().split(/\s+/, 1)[0]))
    .filter((pid) => pid !== process.pid && isAlive(pid))
}

/** Living processes that were started with this folder in their environment. */
function processesIn(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(folder)
      } catch {
        return false
      }
    })
}
