import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Child, type ChildSpec } from '../../local/child.ts'
import { isAlive, type ProcessIdentity, startOf, stopProcess } from '../../local/processes.ts'
import { Supervisor } from '../../local/supervisor.ts'

/** A process that ended by itself comes back after this time. */
const BACK_AFTER_MS = 500
const GRACE_MS = 10_000

/** A process of the rig: it is killed and frozen on purpose, and kept running otherwise. */
export class Puppet extends Child {
  /** How it ended each time that nobody had killed it. */
  readonly unasked: string[] = []
  #process: ChildProcess | undefined
  #identity: ProcessIdentity | null = null
  #isOver = false
  #backAfterMs = BACK_AFTER_MS
  #isAsked = false
  readonly #frozen = new Set<ProcessIdentity>()

  constructor(spec: ChildSpec, logPath: string) {
    super(spec, logPath, () => {})
  }

  override get identity(): ProcessIdentity | null {
    return this.#identity
  }

  override async start(): Promise<void> {
    await this.spec.prepare?.()
    if (this.#isOver) return
    const { command, args, env, cwd, uid, gid, files = [] } = this.spec
    const log = openSync(this.logPath, 'a', 0o600)
    const child = spawn(command, args, {
      detached: true,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log, ...files],
      ...(cwd === undefined ? {} : { cwd }),
      ...(uid === undefined ? {} : { uid }),
      ...(gid === undefined ? {} : { gid }),
    })
    closeSync(log)
    this.#process = child
    const started = child.pid === undefined ? null : startOf(child.pid)
    this.#identity = child.pid === undefined || started === null ? null : { pid: child.pid, started }
    child.once('error', (error) => void this.#ended(child, error.message))
    child.once('exit', (code, by) => void this.#ended(child, by ?? `code ${code}`))
  }

  /** Kills it as a crash would, and lets it come back after a while. */
  kill(backAfterMs: number): void {
    if (this.#identity === null) return
    this.#backAfterMs = backAfterMs
    this.#isAsked = true
    process.kill(this.#identity.pid, 'SIGKILL')
  }

  /** Stops it in the middle of whatever it does, for a while. */
  async freeze(forMs: number): Promise<void> {
    const identity = this.#identity
    if (identity === null || !isAlive(identity)) return
    const frozen = this.#group(identity)
    for (const each of frozen) {
      this.#frozen.add(each)
      signal(each, 'SIGSTOP')
    }
    await sleep(forMs)
    this.#thaw(frozen)
  }

  override async stop(graceMs: number): Promise<void> {
    this.#isOver = true
    if (this.#identity === null) return
    this.#thaw([...this.#frozen])
    await stopProcess(this.#identity, this.spec.stopSignal ?? 'SIGTERM', graceMs)
  }

  #thaw(frozen: readonly ProcessIdentity[]): void {
    for (const each of frozen) {
      signal(each, 'SIGCONT')
      this.#frozen.delete(each)
    }
  }

  /** The server processes of Postgres are children of the one that we started; a job of SkyPilot must go on. */
  #group(identity: ProcessIdentity): ProcessIdentity[] {
    return this.spec.name === 'postgres' ? [identity, ...childrenOf(identity.pid)] : [identity]
  }

  async #ended(child: ChildProcess, ending: string): Promise<void> {
    if (this.#process !== child) return
    this.#process = undefined
    this.#identity = null
    const backAfterMs = this.#backAfterMs
    if (!this.#isAsked && !this.#isOver) {
      this.deaths += 1
      this.unasked.push(`${new Date().toISOString()} ${ending}`)
    }
    this.#isAsked = false
    this.#backAfterMs = BACK_AFTER_MS
    await sleep(backAfterMs)
    if (!this.#isOver) await this.#startAgain()
  }

  async #startAgain(): Promise<void> {
    try {
      await this.start()
    } catch (error) {
      this.deaths += 1
      this.unasked.push(`${new Date().toISOString()} ${String(error)}`)
      await sleep(BACK_AFTER_MS)
      if (!this.#isOver) await this.#startAgain()
    }
  }
}

/** Starts puppets where a supervisor starts children, so that the stack's own way of starting its parts is used. */
export class Puppets extends Supervisor {
  readonly all = new Map<string, Puppet>()
  readonly #logs: string

  constructor(home: string) {
    super(home, () => {})
    this.#logs = join(home, 'logs')
    mkdirSync(this.#logs, { recursive: true })
  }

  override async start(spec: ChildSpec): Promise<Puppet> {
    const puppet = new Puppet(spec, join(this.#logs, `${spec.name}.log`))
    this.all.set(spec.name, puppet)
    await puppet.start()
    return puppet
  }

  /** Ends all, those that use others first. */
  override async stop(): Promise<void> {
    for (const puppet of [...this.all.values()].toReversed()) await puppet.stop(GRACE_MS)
  }
}

function signal(identity: ProcessIdentity, name: NodeJS.Signals): void {
  try {
    if (isAlive(identity)) process.kill(identity.pid, name)
  } catch {
    // It ended in between.
  }
}

function childrenOf(parent: number): ProcessIdentity[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent)
    .flatMap((pid) => {
      const started = startOf(pid)
      return started === null ? [] : [{ pid, started }]
    })
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return undefined
  }
}

/** What a process holds: open files, and memory that is really there. */
export function holdingsOf(pid: number): { files: number; residentMiB: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const residentKiB = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  return { files: readdirSync(`/proc/${pid}/fd`).length, residentMiB: Math.round(residentKiB / 1024) }
}
