import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { Child, type ChildSpec } from './child.ts'
import { stopProcess } from './processes.ts'

const GRACE_MS = 10_000
const LOG_LIMIT_BYTES = 10 * 1024 * 1024
/** A child that ended this often while it was waited for will not come up by itself. */
const HOPELESS_AFTER = 3

/** Those who use others end before those they use. */
const STOP_ORDER = ['web', 'worker', 'skypilot', 'temporal', 'postgres']

const Pids = z.array(
  z.object({ name: z.string(), pid: z.number(), started: z.string(), signal: z.enum(['SIGTERM', 'SIGINT']) }),
)

/** Keeps the processes of the stack running, and leaves none behind. */
export class Supervisor {
  readonly #children: Child[] = []
  readonly #home: string
  readonly #say: (line: string) => void
  #stopping = false

  constructor(home: string, say: (line: string) => void) {
    this.#home = home
    this.#say = say
    mkdirSync(join(home, 'logs'), { recursive: true, mode: 0o700 })
  }

  /** Ends what an earlier supervisor left running when it was killed. */
  async stopLeftovers(): Promise<void> {
    const left = inStopOrder(readPids(this.#pidsPath))
    await Promise.all(left.map(({ pid, started, signal }) => stopProcess({ pid, started }, signal, GRACE_MS)))
    rmSync(this.#pidsPath, { force: true })
  }

  /** Starts a process and keeps it running from now on. */
  async start(spec: ChildSpec): Promise<Child> {
    const logPath = join(this.#home, 'logs', `${spec.name}.log`)
    rotate(logPath)
    const child = new Child(spec, logPath, (changed, ending) => this.#changed(changed, ending))
    if (this.#stopping) return child
    this.#children.push(child)
    await child.start()
    return child
  }

  /** Ends all, each before those it uses. */
  async stop(): Promise<void> {
    this.#stopping = true
    const children = inStopOrder(this.#children.map((child) => ({ name: child.spec.name, child })))
    for (const { child } of children) await child.stop(GRACE_MS)
    rmSync(this.#pidsPath, { force: true })
  }

  get #pidsPath(): string {
    return join(this.#home, 'pids.json')
  }

  #changed(child: Child, ending?: string): void {
    const pids = this.#children.flatMap(({ identity, spec }) =>
      identity === null ? [] : [{ name: spec.name, ...identity, signal: spec.stopSignal ?? 'SIGTERM' }],
    )
    const next = `${this.#pidsPath}.new`
    writeFileSync(next, JSON.stringify(pids))
    renameSync(next, this.#pidsPath)
    if (ending !== undefined) {
      this.#say(`  ${child.spec.name} ended (${ending}) and is started again; its log is ${child.logPath}`)
    }
  }
}

/** Waits until the child answers. Throws, with the end of its log, when it keeps dying or never answers. */
export async function untilReady(
  child: Child,
  answers: () => Promise<boolean>,
  timeoutMs: number,
): Promise<void> {
  const untilMs = performance.now() + timeoutMs
  for (;;) {
    if (await answers().catch(() => false)) return
    if (child.deaths >= HOPELESS_AFTER)
      throw new Error(`${child.spec.name} does not start. ${endOfLog(child)}`)
    if (performance.now() > untilMs) {
      throw new Error(`${child.spec.name} does not answer after ${timeoutMs / 1000} s. ${endOfLog(child)}`)
    }
    await sleep(50)
  }
}

function endOfLog(child: Child): string {
  let lines: string[] = []
  try {
    lines = readFileSync(child.logPath, 'utf8').trimEnd().split('\n').slice(-15)
  } catch {
    // Nothing was written, so there is nothing to show.
  }
  return [`The end of ${child.logPath}:`, ...lines.map((line) => `    ${line.slice(0, 400)}`)].join('\n')
}

function rotate(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  if (size > LOG_LIMIT_BYTES) renameSync(path, `${path}.1`)
}

function readPids(path: string): z.infer<typeof Pids> {
  try {
    return Pids.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return []
  }
}

function inStopOrder<T extends { name: string }>(children: readonly T[]): T[] {
  const rank = ({ name }: T) => (STOP_ORDER.includes(name) ? STOP_ORDER.indexOf(name) : -1)
  return children.toSorted((a, b) => rank(a) - rank(b))
}
