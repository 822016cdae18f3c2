import { z } from 'zod'

/** What the rig knows when a run is over, and what the checker judges. All times are ms since the epoch of one clock. */
export interface Evidence {
  ledger: readonly LedgerLine[]
  witness: readonly WitnessLine[]
  commands: readonly Command[]
  faults: readonly FaultRecord[]
  experiments: readonly ExperimentRow[]
  attempts: readonly AttemptRow[]
  events: readonly EventRow[]
  workflows: readonly WorkflowView[]
  /** What went back in the tables while it ran. */
  reverted: readonly Reverted[]
  holdings: readonly Holding[]
  /** Begin times of the looks at SkyPilot that the tables show as good. */
  looks: readonly number[]
}

const secondsToMs = z.number().transform((at) => Math.round(at * 1_000))
const dateToMs = z.date().transform((at) => at.getTime())

/** One line of the local SkyPilot's ledger: what really happened. */
export const LedgerLine = z
  .object({
    at: secondsToMs,
    effect: z.string(),
    job_id: z.int().nullable(),
    name: z.string().nullable(),
    detail: z.string().nullable(),
  })
  .transform(({ at: atMs, effect, job_id: jobId, name, detail }) => ({ atMs, effect, jobId, name, detail }))
export type LedgerLine = z.infer<typeof LedgerLine>

/** Written by the job's own command, so it says that user code ran, whatever anybody believes. */
export interface WitnessLine {
  experimentId: number
  jobId: number
  what: 'begin' | 'end'
  atMs: number
}

/**
 * One call of a client. `ok` was acknowledged, `fail` was refused, `info` may or may not have happened.
 * The token is its actor's name, by which it is found again in histories and in the event log.
 */
export interface Command {
  token: string
  via: string
  kind: 'create' | 'state' | 'flags' | 'delete'
  experimentId: number | null
  name: string
  /** The desired state, or the mark in the flags. */
  value: string
  invokedMs: number
  endedMs: number | null
  outcome: 'ok' | 'fail' | 'info'
  note: string
}

export interface FaultRecord {
  /** Kind and kind of target, such as `kill worker`. */
  label: string
  target: string
  detail: string
  startedMs: number
  endedMs: number
  /** While it lasted, nobody could know for sure which jobs there are. */
  blinds: boolean
}

export const ExperimentRow = z.object({
  id: z.int(),
  name: z.string(),
  spec: z.looseObject({ flags: z.record(z.string(), z.unknown()) }),
  desired_state: z.string(),
  run: z.int(),
  phase: z.string(),
  job_id: z.int().nullable(),
  revision: z.int(),
  deleted_at: dateToMs.nullable(),
  created_by: z.string(),
})
export type ExperimentRow = z.infer<typeof ExperimentRow>

export const AttemptRow = z.object({
  experiment_id: z.int(),
  run: z.int(),
  attempt: z.int(),
  job_name: z.string(),
  job_id: z.int().nullable(),
  phase: z.string(),
  status: z.string(),
  outcome: z.string().nullable(),
})
export type AttemptRow = z.infer<typeof AttemptRow>

export const EventRow = z.object({
  experiment_id: z.int(),
  seq: z.int(),
  at: dateToMs,
  kind: z.string(),
  actor: z.string(),
  text: z.string(),
  detail: z.record(z.string(), z.unknown()),
})
export type EventRow = z.infer<typeof EventRow>

/** The part of a workflow's state that is the same in every version. */
export const WorkflowState = z.looseObject({
  id: z.int(),
  name: z.string(),
  desired: z.looseObject({ state: z.string() }),
  run: z.int(),
  attempt: z
    .looseObject({
      run: z.int(),
      attempt: z.int(),
      jobName: z.string(),
      progress: z.looseObject({ phase: z.string(), jobId: z.int().nullish() }),
    })
    .nullable(),
})
export type WorkflowState = z.infer<typeof WorkflowState>

export interface WorkflowView {
  workflowId: string
  experimentId: number
  /** Temporal's word: RUNNING, COMPLETED, FAILED, ...; ABSENT when there is no such workflow. */
  status: string
  state: WorkflowState | null
  /** How often the workflow task that waits now was tried before. */
  taskTries: number
  /** Failed workflow tasks in its history that no server fault explains. */
  taskFailures: readonly string[]
  /** Tokens of commands that its history holds as accepted. */
  tokens: readonly string[]
}

export interface Reverted {
  experimentId: number
  text: string
}

export interface Holding {
  process: string
  before: { files: number; residentMiB: number }
  after: { files: number; residentMiB: number }
}

/** Something that must never be seen. */
export interface Violation {
  invariant: Invariant
  experimentId: number | null
  text: string
  lines: readonly string[]
}

/** What is checked, by the numbers of the invariants where they have one. */
export const INVARIANTS = {
  'I1 exclusion': 'user code of one experiment never runs twice at once',
  'I1b overlap': 'two unfinished jobs of one experiment exist for a bounded time only',
  'I2 submission': 'a job name is submitted once, unless nobody could know better',
  'I3 acknowledged': 'an acknowledged command is in the history and in force',
  'I3 generations': 'generations and the event log have no gaps',
  'I4 convergence': 'every wish is carried out in the end',
  'I5 stop': 'nothing is launched long after a stop was acknowledged',
  'I7 outcomes': 'how each job ended is recorded, and never reverted',
  'I8 projection': 'the tables show what the workflows know, and never go back',
  'I9 identity': 'an id is never given to another experiment',
  'I11 wedge': 'no workflow task fails, whatever is sent',
  'I13 audit': 'a command is in the event log exactly once, a refused one never',
  orphans: 'every job belongs to an attempt that is known',
  holdings: 'open files and memory come back to where they were',
} as const
export type Invariant = keyof typeof INVARIANTS
