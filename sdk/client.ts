import type { DesiredState, Flags, FlagStyle } from '../core/spec.ts'
import { createHttp, SkyDeckError } from './http.ts'

export type { DesiredState, Flags, FlagStyle }
export { SkyDeckError }

/** Where an experiment stands: SkyDeck's own word. */
export type Phase =
  | 'idle'
  | 'starting'
  | 'waiting'
  | 'running'
  | 'recovering'
  | 'stopping'
  | 'finishing'
  | 'succeeded'
  | 'failed'
  | 'stopped'
  | 'terminated'

/** An experiment as SkyDeck answers it. Times are ISO 8601 in UTC. */
export interface ExperimentInfo {
  id: number
  name: string
  desired_state: DesiredState
  current_state: string
  phase: Phase
  /** One sentence: why it is as it is. */
  why: string
  flags: Flags
  /** The exact command line of the next run. */
  command: string
  nodes: number
  gpus: number
  run: number
  job_id: number | null
  exit_code: number | null
  created_at: string
  updated_at: string
  seen_at: string | null
}

export interface JobInfo {
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

export interface NewExperiment {
  name: string
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

  /** The newest experiments; `search` is a part of the name. */
  async list(query: { search?: string; limit?: number; offset?: number } = {}): Promise<ExperimentInfo[]> {
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
    const { job_id: jobId } = await this.get(idOrName)
    if (jobId === null) return
    const query = new URLSearchParams({ follow: String(options.follow ?? false) })
    if (options.tail !== undefined) query.set('tail', String(options.tail))
    yield* await this.#http.text(`/api/jobs/${jobId}/logs?${query}`, options.signal)
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

function bodyOf(given: NewExperiment): Record<string, unknown> {
  const { flagStyle, baseCommand, toolPath, gitBranch, instanceType, desiredState, ...same } = given
  return {
    ...same,
    flag_style: flagStyle,
    base_command: baseCommand,
    tool_path: toolPath,
    git_branch: gitBranch,
    instance_type: instanceType,
    desired_state: desiredState,
  }
}
