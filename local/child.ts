import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { type ProcessIdentity, startOf, stopProcess } from './processes.ts'

/** What to run, and how to end it. */
export interface ChildSpec {
  name: string
  command: string
  args: readonly string[]
  env: Record<string, string>
  cwd?: string
  uid?: number
  gid?: number
  /** Open files the child inherits as numbers 3 and up. */
  files?: readonly number[]
  stopSignal?: NodeJS.Signals
  /** Run before each start, the first and every other. */
  prepare?: () => Promise<void>
}

const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 10_000
/** A child that lived this long was well; its next death is the first again. */
const WELL_AFTER_MS = 30_000

/** One process that is kept running: when it dies it is started again, after a pause that grows. */
export class Child {
  readonly spec: ChildSpec
  readonly logPath: string
  /** How often it ended by itself. */
  deaths = 0
  #running: { process: ChildProcess; identity: ProcessIdentity | null; ended: Promise<void> } | undefined
  #timer: NodeJS.Timeout | undefined
  #starting: Promise<void> = Promise.resolve()
  #stopping = false
  #pauseMs = FIRST_PAUSE_MS
  readonly #onChange: (child: Child, ending?: string) => void

  constructor(spec: ChildSpec, logPath: string, onChange: (child: Child, ending?: string) => void) {
    this.spec = spec
    this.logPath = logPath
    this.#onChange = onChange
  }

  /** The process that runs now, if any. */
  get identity(): ProcessIdentity | null {
    return this.#running?.identity ?? null
  }

  async start(): Promise<void> {
    await this.spec.prepare?.()
    if (this.#stopping) return
    this.#spawn()
  }

  /** Asks it to end, kills it after the grace, and starts it no more. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    clearTimeout(this.#timer)
    await this.#starting.catch(() => undefined)
    const running = this.#running
    if (running === undefined) return
    if (running.identity !== null) {
      await stopProcess(running.identity, this.spec.stopSignal ?? 'SIGTERM', graceMs)
    }
    await running.ended
  }

  #spawn(): void {
    const { spec } = this
    const log = openSync(this.logPath, 'a', 0o600)
    const startedAtMs = performance.now()
    // Its own process group: Ctrl-C in the terminal reaches the supervisor alone, which then stops all in order.
    const child = spawn(spec.command, spec.args, {
      detached: true,
      env: { ...process.env, ...spec.env },
      stdio: ['ignore', log, log, ...(spec.files ?? [])],
      ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
      ...(spec.uid === undefined ? {} : { uid: spec.uid }),
      ...(spec.gid === undefined ? {} : { gid: spec.gid }),
    })
    closeSync(log)
    const ended = new Promise<void>((resolve) => {
      const end = (ending: string) => {
        if (this.#running?.process !== child) return
        this.#running = undefined
        this.#ended(ending, performance.now() - startedAtMs)
        resolve()
      }
      child.once('error', (error) => end(error.message))
      child.once('exit', (code, signal) => end(signal ?? `code ${code}`))
    })
    const started = child.pid === undefined ? null : startOf(child.pid)
    const identity = child.pid === undefined || started === null ? null : { pid: child.pid, started }
    this.#running = { process: child, identity, ended }
    this.#onChange(this)
  }

  #ended(ending: string, livedMs: number): void {
    if (this.#stopping) {
      this.#onChange(this)
      return
    }
    this.deaths++
    if (livedMs > WELL_AFTER_MS) this.#pauseMs = FIRST_PAUSE_MS
    this.#onChange(this, ending)
    this.#startLater()
  }

  #startLater(): void {
    const pauseMs = this.#pauseMs
    this.#pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)
    this.#timer = setTimeout(() => {
      this.#starting = this.start().catch((error: unknown) => {
        this.deaths++
        this.#onChange(this, error instanceof Error ? error.message : String(error))
        if (!this.#stopping) this.#startLater()
      })
    }, pauseMs)
  }
}
