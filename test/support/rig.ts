import type { Client, WorkflowHandle } from '@temporalio/client'
import { onTestFailed } from 'vitest'
import type { Experiment } from '../../core/experiment.ts'
import { historiesOf, taskFailureOf } from '../chaos/histories.ts'
import { processesWith, TestDesk } from './desk.ts'

export const WAIT = { timeoutMs: 60_000 }
export const POLL = { timeout: 60_000, interval: 250 }

/** For NODE_OPTIONS: what is done to worker and console from inside. */
export const PRELOAD = new URL('preload.ts', import.meta.url).href

/** Temporal's number of a workflow task whose worker took it and never finished it. */
const START_TO_CLOSE = 1

export const alive = (mark: string): number => processesWith(mark).length

/** A desk with a client of its Temporal, and what the tests of the failure catalogue do to them. */
export class Rig {
  readonly desk: TestDesk
  readonly temporal: Client
  readonly #frozen = new Set<number>()

  private constructor(desk: TestDesk, temporal: Client) {
    this.desk = desk
    this.temporal = temporal
  }

  static async start(slots?: number, more?: Readonly<Record<string, string>>): Promise<Rig> {
    const desk = await TestDesk.create(slots, more)
    return new Rig(desk, await desk.temporal())
  }

  /** After each test: nothing is frozen any more. */
  thawAll(): void {
    for (const pid of this.#frozen) this.thaw(pid)
  }

  async dispose(): Promise<void> {
    this.thawAll()
    await this.temporal.connection.close()
    await this.desk.dispose()
  }

  pidOf(name: string): number {
    const found = this.desk.pids().find((each) => each.name === name)
    if (!found) throw new Error(`${name} does not run`)
    return found.pid
  }

  /** Stops a process where it is, so that nobody starts it again. Gives its number, for the thaw. */
  freeze(name: string): number {
    return this.#freeze(this.pidOf(name))
  }

  /** Ends a process, and has nobody start it again before what this gives is thawed. */
  end(name: string): number {
    const main = this.#freeze(this.desk.mainPid)
    process.kill(this.pidOf(name), 'SIGKILL')
    return main
  }

  #freeze(pid: number): number {
    process.kill(pid, 'SIGSTOP')
    this.#frozen.add(pid)
    return pid
  }

  thaw(pid: number): void {
    this.#frozen.delete(pid)
    process.kill(pid, 'SIGCONT')
  }

  handleOf = (id: number): WorkflowHandle => this.temporal.workflow.getHandle(`experiment-${id}`)

  stateOf = (id: number): Promise<Experiment> => this.handleOf(id).query<Experiment>('getState')

  async eventsOf(id: number) {
    const histories = await historiesOf(this.temporal, `experiment-${id}`)
    return histories.flatMap(({ events }) => events ?? [])
  }

  /** What went wrong with workflow tasks through a fault of the workflow. */
  failuresOf = async (id: number): Promise<string[]> => (await this.eventsOf(id)).flatMap(taskFailureOf)

  /** How many workflow tasks a worker took and never finished. */
  cutShort = async (id: number): Promise<number> =>
    (await this.eventsOf(id)).filter(
      ({ workflowTaskTimedOutEventAttributes: timedOut }) => Number(timedOut?.timeoutType) === START_TO_CLOSE,
    ).length

  /** An experiment that sleeps under a mark by which it is found in the process table. */
  async sleeper(name: string): Promise<{ id: number; mark: string }> {
    // oxlint-disable-next-line no-console -- a failure that came out wrong can seldom be repeated
    onTestFailed(async () => console.log(await this.desk.story()))
    const mark = `mark-${name}-${Date.now()}`
    const { id } = await this.desk.sdk.create({ name, command: `exec -a ${mark} sleep 600` })
    return { id, mark }
  }

  async running(name: string): Promise<{ id: number; mark: string; jobId: number }> {
    const made = await this.sleeper(name)
    await this.desk.sdk.setDesiredState(made.id, 'RUNNING')
    const { job_id: jobId } = await this.desk.sdk.waitFor(made.id, 'running', WAIT)
    return { ...made, jobId: jobId! }
  }

  post = (path: string, body: unknown): Promise<Response> =>
    fetch(this.desk.url + path, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    })

  wish = async (id: number, state: string): Promise<number> =>
    (await this.post(`/api/experiments/${id}/state`, { desired_state: state })).status

  /** How fresh the desk says that its knowledge is. */
  async health(): Promise<{ last_sync: string | null; staleness_seconds: number; error: string | null }> {
    const answer = await fetch(`${this.desk.url}/api/health`)
    return ((await answer.json()) as { skypilot: never }).skypilot
  }

  /** Runs it to its end, and gives what went wrong with workflow tasks of it by then. */
  async runThrough(id: number): Promise<string[]> {
    await this.desk.sdk.setDesiredState(id, 'RUNNING')
    await this.desk.sdk.waitFor(id, 'succeeded', WAIT)
    return this.failuresOf(id)
  }
}
