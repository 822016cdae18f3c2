import type { Action } from '../../core/action.ts'
import { advance } from '../../core/advance.ts'
import { parseJobName } from '../../core/build-task.ts'
import { decide } from '../../core/decide.ts'
import type { Experiment } from '../../core/experiment.ts'
import { endingOf } from '../../core/job-status.ts'
import { wakeAtMs } from '../../core/explain.ts'
import type { Fact } from '../../core/facts.ts'
import { clusterSeen, foreign, seen } from '../support/experiments.ts'

/** SkyPilot on a good day: takes what it is asked for, obeys, and shows what is. */
export class FairWorld {
  state: Experiment
  nowMs: number
  #jobs = new Map<string, { jobId: number; jobName: string; clusterName: string | null; status: string }>()
  #cluster: string | null
  #nextJobId = 1_000

  constructor(state: Experiment, nowMs: number) {
    this.state = state
    this.nowMs = nowMs
    this.#cluster = state.cluster ? (state.cluster.status ?? 'INIT') : null
    const { attempt } = state
    if (attempt?.progress.phase === 'active')
      this.#put(
        attempt.progress.jobId,
        attempt.jobName,
        attempt.clusterName,
        attempt.progress.verdict ? endOf(attempt.progress.verdict.status) : 'RUNNING',
      )
    for (const { jobId, jobName, clusterName } of state.strays)
      this.#put(jobId, jobName, clusterName, 'RUNNING')
  }

  /** One round: an action and its facts, a look, and time. */
  round(): void {
    const action = decide(this.state, this.nowMs)
    const launch: Fact[] = action.kind === 'launch' ? [{ kind: 'launchIntended', atMs: this.nowMs }] : []
    this.state = advance(this.state, launch, this.nowMs)
    this.nowMs += 500
    this.state = advance(this.state, this.#perform(action), this.nowMs)
    this.nowMs += 500
    this.state = advance(this.state, this.#look(), this.nowMs)
    const wakeMs = wakeAtMs(this.state, decide(this.state, this.nowMs), this.nowMs)
    this.nowMs = Math.max(this.nowMs + 1, Math.min(wakeMs ?? Infinity, this.nowMs + 10_000))
  }

  get liveJobs(): string[] {
    return [...this.#jobs.values()].filter(({ status }) => !endingOf(status)).map(({ jobName }) => jobName)
  }

  get cluster(): string | null {
    return this.#cluster
  }

  #put(jobId: number, jobName: string, clusterName: string | null, status: string): void {
    this.#jobs.set(`${clusterName}/${jobId}/${jobName}`, { jobId, jobName, clusterName, status })
  }

  #perform(action: Action): Fact[] {
    const atMs = this.nowMs
    switch (action.kind) {
      case 'launch':
        return [{ kind: 'launchRequested', requestId: 'r', atMs }]
      case 'follow':
        return [{ kind: 'jobFound', jobId: this.#launched(), atMs }]
      case 'abort':
        return [{ kind: 'launchUnsure', reason: 'aborted', atMs }]
      case 'look':
        return [{ kind: 'lookedEmpty', atMs }]
      case 'cancel': {
        const job = this.#jobs.get(`${action.job.clusterName}/${action.job.jobId}/${action.job.jobName}`)
        if (job && !endingOf(job.status)) job.status = 'CANCELLED'
        return [{ kind: 'cancelAsked', job: action.job, isOver: true, atMs }]
      }
      case 'conclude':
        return [{ kind: 'concluded', conclusion: action.conclusion, reason: action.why, atMs }]
      default:
        return this.#performOnCluster(action)
    }
  }

  #launched(): number {
    this.#nextJobId += 1
    const { attempt } = this.state
    if (attempt?.clusterName != null) this.#cluster = 'UP'
    this.#put(this.#nextJobId, attempt?.jobName ?? '', attempt?.clusterName ?? null, 'RUNNING')
    return this.#nextJobId
  }

  #performOnCluster(action: Action): Fact[] {
    const atMs = this.nowMs
    if (action.kind === 'autostop')
      return [{ kind: 'autostopAsked', name: action.name, minutes: action.minutes, refusal: null, atMs }]
    if (action.kind === 'lookAtCluster') return this.#clusterNow()
    if (action.kind !== 'cluster') return []
    const { verb, name } = action
    if (this.#cluster !== null) this.#cluster = verb === 'start' ? 'UP' : verb === 'stop' ? 'STOPPED' : null
    if (verb !== 'start') for (const job of this.#jobs.values()) if (job.clusterName !== null) this.#end(job)
    return [{ kind: 'clusterAsked', verb, name, atMs }]
  }

  #end(job: { status: string }): void {
    if (!endingOf(job.status)) job.status = 'FAILED_DRIVER'
  }

  #clusterNow(): Fact[] {
    const name = this.state.cluster?.name ?? 'exp-1'
    return this.#cluster === null
      ? [{ kind: 'clusterAbsent', name, seenAtMs: this.nowMs }]
      : [clusterSeen(this.#cluster, { name, seenAtMs: this.nowMs })]
  }

  /** Jobs on a cluster show only while it is up; a cluster that stops itself comes to rest. */
  #look(): Fact[] {
    if (this.#cluster === 'AUTOSTOPPING' || this.#cluster === 'WEIRD') this.#cluster = 'STOPPED'
    if (this.#cluster === 'STOPPED' || this.#cluster === null)
      for (const job of this.#jobs.values()) if (job.clusterName !== null) this.#end(job)
    if (this.#cluster === 'INIT' && this.state.attempt?.progress.phase !== 'requested') this.#cluster = 'UP'
    const jobs = [...this.#jobs.values()].filter(
      ({ clusterName }) => clusterName === null || this.#cluster === 'UP',
    )
    const facts = jobs.map(({ jobId, jobName, clusterName, status }) => {
      const scheduleState = endingOf(status) ? 'DONE' : 'ALIVE'
      const shown = { jobName, clusterName, scheduleState, seenAtMs: this.nowMs }
      return parseJobName(jobName) ? seen(jobId, status, shown) : foreign(jobId, status, shown)
    })
    return [...facts, ...this.#clusterNow()]
  }
}

/** What SkyPilot calls such an end: a verdict of ours, as LIMIT, stands on a job that was cancelled. */
const endOf = (verdict: string): string => (endingOf(verdict) ? verdict : 'CANCELLED')
