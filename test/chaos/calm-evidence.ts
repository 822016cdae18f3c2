import type { AttemptRow, Command, EventRow, Evidence, LedgerLine, WorkflowView } from './evidence.ts'

/** A made-up run in which all is well, for the tests of the checker: one experiment that ran once, one deleted. */
export function calmEvidence(): Evidence & { workflows: WorkflowView[] } {
  return {
    ledger: jobLines(1, 'x0-1.1.1', 1_000, 5_000, 'succeeded'),
    witness: [
      { experimentId: 1, jobId: 1, what: 'begin', atMs: 1_100 },
      { experimentId: 1, jobId: 1, what: 'end', atMs: 4_900 },
    ],
    commands: [
      command('chaos-begin.0', 'create', 'STOPPED', 100),
      command('chaos-0.0', 'state', 'RUNNING', 900),
      command('chaos-0.1', 'flags', 'chaos-0.1', 6_000),
      { ...command('chaos-1.0', 'create', 'STOPPED', 200), name: 'x1', experimentId: 2 },
      { ...command('chaos-1.1', 'delete', '', 7_000), name: 'x1', experimentId: 2 },
    ],
    faults: [],
    experiments: [
      row(1, 'x0', { desired_state: 'RUNNING', run: 1, job_id: 1, created_by: 'chaos-begin.0' }, 'chaos-0.1'),
      row(2, 'x1', { desired_state: 'TERMINATED', deleted_at: 7_500, created_by: 'chaos-1.0' }, 'chaos-1.0'),
    ],
    attempts: [attempt('x0-1.1.1', 1, 'SUCCEEDED', 'succeeded')],
    events: [
      event(1, 1, 'created', 'chaos-begin.0', 110),
      event(1, 2, 'desired', 'chaos-0.0', 910, { from: 'STOPPED', to: 'RUNNING', generation: 1 }),
      event(1, 3, 'ended', 'skydeck', 5_200),
      event(1, 4, 'edited', 'chaos-0.1', 6_010),
      event(2, 1, 'created', 'chaos-1.0', 210),
      event(2, 2, 'deleted', 'chaos-1.1', 7_010),
    ],
    workflows: [
      view(1, 'RUNNING', {
        name: 'x0',
        desired: { state: 'RUNNING' },
        run: 1,
        attempt: { run: 1, attempt: 1, jobName: 'x0-1.1.1', progress: { phase: 'ended', jobId: 1 } },
        tokens: ['chaos-begin.0', 'chaos-0.0', 'chaos-0.1'],
      }),
      view(2, 'COMPLETED', {
        name: 'x1',
        desired: { state: 'TERMINATED' },
        run: 0,
        attempt: null,
        tokens: ['chaos-1.0', 'chaos-1.1'],
      }),
    ],
    reverted: [],
    looks: [1_000, 3_000, 5_000],
    holdings: [
      {
        process: 'worker-1',
        before: { files: 40, residentMiB: 200 },
        after: { files: 42, residentMiB: 240 },
      },
    ],
  }
}

/** A job's lines from its submission to its end; without an end it lives. */
export function jobLines(
  jobId: number,
  name: string,
  fromMs: number,
  toMs: number,
  ending: string | null,
): LedgerLine[] {
  const line = (effect: string, atMs: number): LedgerLine => ({ atMs, effect, jobId, name, detail: null })
  return [
    line('submitted', fromMs),
    line('starting', fromMs + 10),
    line('process', fromMs + 20),
    line('running', fromMs + 50),
    ...(ending === null ? [] : [line(ending, toMs)]),
  ]
}

export const command = (
  token: string,
  kind: Command['kind'],
  value: string,
  invokedMs: number,
  outcome: Command['outcome'] = 'ok',
): Command => ({
  token,
  via: 'api-1',
  kind,
  experimentId: 1,
  name: 'x0',
  value,
  invokedMs,
  endedMs: outcome === 'info' ? null : invokedMs + 50,
  outcome,
  note: '',
})

export const event = (
  experimentId: number,
  seq: number,
  kind: string,
  actor: string,
  at: number,
  detail: EventRow['detail'] = {},
): EventRow => ({ experiment_id: experimentId, seq, at, kind, actor, text: kind, detail })

export const attempt = (
  jobName: string,
  jobId: number | null,
  status: string,
  outcome: string | null,
): AttemptRow => {
  const [experiment = 0, run = 0, number = 0] = jobName.split('-')[1]?.split('.').map(Number) ?? []
  return {
    experiment_id: experiment,
    run,
    attempt: number,
    job_name: jobName,
    job_id: jobId,
    phase: outcome === null ? 'active' : 'ended',
    status,
    outcome,
  }
}

const row = (
  id: number,
  name: string,
  given: Partial<Evidence['experiments'][number]>,
  mark: string,
): Evidence['experiments'][number] => ({
  id,
  name,
  spec: { flags: { chaos_mark: mark } },
  desired_state: 'STOPPED',
  run: 0,
  phase: 'idle',
  job_id: null,
  revision: 9,
  deleted_at: null,
  created_by: '',
  ...given,
})

function view(
  id: number,
  status: string,
  { tokens, ...state }: Omit<NonNullable<WorkflowView['state']>, 'id'> & { tokens: string[] },
): WorkflowView {
  return {
    workflowId: `experiment-${id}`,
    experimentId: id,
    status,
    // The rest of the state may hold anything; only what is checked is told.
    state: { id, ...state } as WorkflowView['state'],
    taskTries: 0,
    taskFailures: [],
    tokens,
  }
}
