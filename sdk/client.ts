import type { DesiredState, Executor, Flags, FlagStyle } from '../core/spec.ts'
import { createHttp, SkyDeckError } from './http.ts'
import { policyBody, type PolicyInput } from './policy.ts'

export type { DesiredState, Executor, Flags, FlagStyle }
export { SkyDeckError }

/** Where an experiment stands: SkyDeck's own word. */
export type Phase =
  | 'idle'
  | 'queued'
  | 'starting'
  | 'waiting'
  | 'running'
  | 'recovering'
  | 'backoff'
  | 'stopping'
  | 'finishing'
  | 'succeeded'
  | 'failed'
  | 'lost'
  | 'stopped'
  | 'terminated'

/** An experiment as SkyDeck answers it. Times are ISO 8601 in UTC. */
export interface ExperimentInfo {
  id: number
  name: string
  desired_state: DesiredState
  current_state: string
  phase: Phase
  /** Why it is as it is, in one word of a closed list; `cannot-see` while SkyPilot is out of sight. */
  headline: string
  headline_since: string
  /** The same in one sentence. */
  why: string
  /** What that rests on, the most telling first. */
  evidence: readonly string[]
  /** What happens next by itself, or what a person can do. */
  next: string | null
  next_at: string | null
  held_by: string | null
  /** Its place among all that wait for their launch. */
  queue: { place: number; of: number } | null
  owner: string
  executor: Executor
  priority: number
  /** Its own cluster, as long as that may exist. */
  cluster: {
    name: string
    status: string | null
    autostop_minutes: number | null
    launched_at: string | null
  } | null
  flags: Flags
  /** The exact command line of the next run. */
  command: string
  nodes: number
  gpus: number
  /** True while the clean-up goes on; by its id it is found for so long. */
  deleted: boolean
  run: number
  /** Its current job, as `JobInfo.id` names it. */
  job: string | null
  /** SkyPilot's id of it, if it is a managed job. */
  job_id: number | null
  exit_code: number | null
  created_at: string
  updated_at: string
  seen_at: string | null
}

export interface JobInfo {
  /** The number of a managed job; `experiment.run.attempt` for a job on a cluster. */
  id: string
  sky_job_id: number | null
  status: string
  outcome: string | null
  run: number
  attempt: number
  command: string
  exit_code: number | null
  error_message: string | null
  created_at: string
  started_at: string | null
  ended_at: string | null
}

export interface NewExperiment extends PolicyInput {
  name: string
  /** Through what it runs: a managed job unless said otherwise, or a cluster of its own. */
  executor?: Executor
  /** A command line with `{name}`, `{nodes}`, `{gpus}` and `{flags}`; without it the launcher rule holds. */
  command?: string
  flagStyle?: FlagStyle
  flags?: Flags
  nodes?: number
  gpus?: number
  accelerator?: string
  setup?: string
  envs?: Record<string, string>
  baseCommand?: string
  toolPath?: string
  gitBranch?: string
  cloud?: string
  instanceType?: string
  spot?: boolean
  desiredState?: DesiredState
  description?: string
  tags?: readonly string[]
}

/** What an edit changes; what is not given stays. */
export type Change = Partial<Omit<NewExperiment, 'desiredState'>>

/** Which fields of an edit hold at once, and which from the next run on. */
export interface Applies {
  now: readonly string[]
  next_run: readonly string[]
}

/** A job or a cluster that belongs to no experiment. */
export interface OrphanInfo {
  kind: 'job' | 'cluster'
  key: string
  name: string
  /** SkyPilot's word. */
  status: string
  detail: string | null
  first_seen_at: string
  seen_at: string
}

/** What an experiment takes in: a managed job, a cluster, or both for a job on a cluster. */
export interface Adoption {
  jobId?: number
  /** May be left out for a managed job in the list of orphans. */
  jobName?: string
  clusterName?: string
}

export interface WaitOptions {
  /** Give up after this long. 10 minutes unless said otherwise. */
  timeoutMs?: number
  signal?: AbortSignal
}

const WAIT_MS = 600_000
const CHECK_FIRST_MS = 200
const CHECK_MAX_MS = 2_000

/** One SkyDeck, asked over HTTP. Ids and names can be used alike; everything refused is a SkyDeckError. */
export class SkyDeck {
  readonly #http: ReturnType<typeof createHttp>

  /** `url` is the address of the console; `actor` is the name under which wishes appear in the history. */
  constructor(options: { url?: string; actor?: string } = {}) {
    this.#http = createHttp(options.url ?? 'http://127.0.0.1:7777', options.actor)
  }

  async create(given: NewExperiment): Promise<ExperimentInfo> {
    return (await this.#http.json<One>('POST', '/api/experiments', bodyOf(given))).experiment
  }

  async get(idOrName: number | string): Promise<ExperimentInfo> {
    return (await this.#http.json<One>('GET', of(idOrName))).experiment
  }

  /**
   * The newest experiments; `search` is a part of the name. With `deleting` those that are deleted and of which something
   * may still be there.
   */
  async list(
    query: { search?: string; deleting?: boolean; limit?: number; offset?: number } = {},
  ): Promise<ExperimentInfo[]> {
    const given = new URLSearchParams()
    for (const [key, value] of Object.entries(query)) given.set(key, String(value))
    const path = `/api/experiments?${given}`
    return (await this.#http.json<{ experiments: ExperimentInfo[] }>('GET', path)).experiments
  }

  async setDesiredState(
    idOrName: number | string,
    state: DesiredState,
    reason?: string,
  ): Promise<ExperimentInfo> {
    const body = { desired_state: state, ...(reason ? { reason } : {}) }
    return (await this.#http.json<One>('POST', `${of(idOrName)}/state`, body)).experiment
  }

  /** Replaces all flags. What runs goes on as it is; the next run takes them. */
  async setFlags(idOrName: number | string, flags: Flags): Promise<ExperimentInfo> {
    return (await this.#http.json<One>('POST', `${of(idOrName)}/flags`, { flags })).experiment
  }

  /** Changes it. What runs goes on as it is; how it is treated changes at once. */
  async edit(
    idOrName: number | string,
    change: Change,
  ): Promise<{ experiment: ExperimentInfo; applies: Applies }> {
    return this.#http.json('PATCH', of(idOrName), bodyOf(change))
  }

  /** Hands off: SkyDeck does nothing with it, whatever is wanted, until it is released. */
  hold(idOrName: number | string, reason?: string): Promise<ExperimentInfo> {
    return this.#wish(idOrName, 'hold', { reason })
  }

  release(idOrName: number | string, reason?: string): Promise<ExperimentInfo> {
    return this.#wish(idOrName, 'release', { reason })
  }

  /** Says that you looked at the machines yourself, and how, and that nothing of it runs any more. */
  confirmGone(idOrName: number | string, reason: string): Promise<ExperimentInfo> {
    return this.#wish(idOrName, 'confirm-gone', { reason })
  }

  /** Takes a job or a cluster that belongs to nobody into this experiment. */
  adopt(idOrName: number | string, { jobId, jobName, clusterName }: Adoption): Promise<ExperimentInfo> {
    return this.#wish(idOrName, 'adopt', { job_id: jobId, job_name: jobName, cluster_name: clusterName })
  }

  /** Undoes a deletion. What ran before does not run again by that. */
  undelete(idOrName: number | string): Promise<ExperimentInfo> {
    return this.#wish(idOrName, 'undelete', {})
  }

  /** Jobs and clusters that belong to no experiment, the oldest first. */
  async orphans(): Promise<OrphanInfo[]> {
    return (await this.#http.json<{ orphans: OrphanInfo[] }>('GET', '/api/orphans')).orphans
  }

  /** Cancels an orphan job, or takes an orphan cluster down. */
  async endOrphan({ kind, key }: Pick<OrphanInfo, 'kind' | 'key'>): Promise<void> {
    await this.#http.json('POST', `/api/orphans/${kind}/${encodeURIComponent(key)}/end`)
  }

  async #wish(idOrName: number | string, verb: string, body: unknown): Promise<ExperimentInfo> {
    return (await this.#http.json<One>('POST', `${of(idOrName)}/${verb}`, body)).experiment
  }

  /** Deletes it, after seeing to it that nothing keeps running. */
  async delete(idOrName: number | string): Promise<void> {
    await this.#http.json('DELETE', of(idOrName))
  }

  async jobs(idOrName: number | string, limit = 10): Promise<JobInfo[]> {
    const path = `${of(idOrName)}/jobs?limit=${limit}`
    return (await this.#http.json<{ jobs: JobInfo[] }>('GET', path)).jobs
  }

  /** The output of the experiment's latest job, line by line; with `follow` until the job ends. */
  async *logs(
    idOrName: number | string,
    options: { follow?: boolean; tail?: number; signal?: AbortSignal } = {},
  ): AsyncIterable<string> {
    const { job } = await this.get(idOrName)
    if (job === null) return
    const query = new URLSearchParams({ follow: String(options.follow ?? false) })
    if (options.tail !== undefined) query.set('tail', String(options.tail))
    yield* await this.#http.text(`/api/jobs/${job}/logs?${query}`, options.signal)
  }

  /**
   * Waits until the experiment is in one of these phases.
   * @throws SkyDeckError with the reason why it is not, when the time is over
   */
  async waitFor(
    idOrName: number | string,
    phases: Phase | readonly Phase[],
    options: WaitOptions = {},
  ): Promise<ExperimentInfo> {
    const wanted: readonly string[] = [phases].flat()
    const untilMs = Date.now() + (options.timeoutMs ?? WAIT_MS)
    for (let pauseMs = CHECK_FIRST_MS; ; pauseMs = Math.min(pauseMs * 1.5, CHECK_MAX_MS)) {
      options.signal?.throwIfAborted()
      const now = await this.get(idOrName)
      if (wanted.includes(now.phase)) return now
      if (Date.now() > untilMs)
        throw new SkyDeckError(0, `${now.name} is still ${now.phase}, not ${wanted.join(' or ')}: ${now.why}`)
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
}

const of = (idOrName: number | string): string => `/api/experiments/${encodeURIComponent(idOrName)}`

interface One {
  experiment: ExperimentInfo
}

function bodyOf(given: NewExperiment | Change): Record<string, unknown> {
  const { name, command, flags, nodes, gpus, accelerator, setup, envs, cloud, spot, executor } = given
  const { description, tags } = given
  const same = { name, command, flags, nodes, gpus, accelerator, setup, envs, cloud, spot, executor }
  return {
    ...same,
    description,
    tags,
    ...policyBody(given),
    flag_style: given.flagStyle,
    base_command: given.baseCommand,
    tool_path: given.toolPath,
    git_branch: given.gitBranch,
    instance_type: given.instanceType,
    desired_state: 'desiredState' in given ? given.desiredState : undefined,
  }
}
