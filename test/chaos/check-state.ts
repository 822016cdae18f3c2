import { jobsOf } from './jobs.ts'
import type {
  AttemptRow,
  Evidence,
  ExperimentRow,
  Holding,
  Invariant,
  Violation,
  WorkflowState,
  WorkflowView,
} from './evidence.ts'

/** Open files may grow by a fifth and a few; memory of a young process by more, until it has been everywhere once. */
const FILES_MAX = (before: number): number => before * 1.2 + 15
const RESIDENT_MIB_MAX = (before: number): number => before * 1.5 + 100

/** Judges how things stand once everything is healed and calm. */
export function checkState(evidence: Evidence): Violation[] {
  return [
    ...evidence.experiments.flatMap((row) => checkRow(evidence, row)),
    ...evidence.workflows.flatMap((view) => [...checkWedge(view), ...checkConvergence(evidence, view)]),
    ...checkLiving(evidence),
    ...evidence.reverted.map(({ experimentId, text }) => ({
      invariant: text.startsWith('attempt') ? ('I7 outcomes' as const) : ('I8 projection' as const),
      experimentId,
      text,
      lines: [],
    })),
    ...evidence.holdings.flatMap(checkHolding),
  ]
}

/** What is not as it should be yet, and may become so with time alone. */
export const unsettled = (evidence: Evidence): Violation[] =>
  checkState({ ...evidence, holdings: [], reverted: [] })

function checkRow(evidence: Evidence, row: ExperimentRow): Violation[] {
  const view = evidence.workflows.find(({ experimentId }) => experimentId === row.id)
  const found = (invariant: Invariant, text: string): Violation => ({
    invariant,
    experimentId: row.id,
    text: `experiment ${row.id} (${row.name}) ${text}`,
    lines: [JSON.stringify(row), JSON.stringify(view?.state ?? null)],
  })
  if (!view || view.status === 'ABSENT') return [found('I4 convergence', 'has no workflow')]
  if (!view.state) return [found('I11 wedge', `has a workflow that does not answer: ${view.status}`)]
  const isOver = view.status !== 'RUNNING'
  if (isOver !== (row.deleted_at !== null))
    return [
      found(
        'I4 convergence',
        `is ${row.deleted_at ? 'deleted' : 'not deleted'}, but its workflow is ${view.status}`,
      ),
    ]
  if (isOver && view.status !== 'COMPLETED')
    return [found('I11 wedge', `has a workflow that ended as ${view.status}`)]
  const own = evidence.attempts.filter((attempt) => attempt.experiment_id === row.id)
  return differences(row, own, view.state).map((text) => found('I8 projection', text))
}

/** Where the tables say something else than the workflow. */
function differences(row: ExperimentRow, own: readonly AttemptRow[], state: WorkflowState): string[] {
  const { attempt } = state
  const shown = own.find((each) => each.run === attempt?.run && each.attempt === attempt.attempt)
  const pairs: Array<[string, unknown, unknown]> = [
    ['name', row.name, state.name],
    ['desired state', row.desired_state, state.desired.state],
    ['run', row.run, state.run],
  ]
  if (attempt) {
    pairs.push(['job name of the attempt', shown?.job_name, attempt.jobName])
    pairs.push(['phase of the attempt', shown?.phase, attempt.progress.phase])
    pairs.push(['job of the attempt', shown?.job_id ?? null, attempt.progress.jobId ?? null])
    pairs.push(['job', row.job_id, attempt.progress.jobId ?? null])
  }
  return pairs
    .filter(([, table, workflow]) => table !== workflow)
    .map(
      ([what, table, workflow]) =>
        `shows ${what} ${JSON.stringify(table ?? null)}, the workflow has ${JSON.stringify(workflow)}`,
    )
}

function checkConvergence(evidence: Evidence, { experimentId, state }: WorkflowView): Violation[] {
  if (!state) return []
  const { attempt, desired } = state
  if (isReached(evidence, state)) return []
  const has = attempt ? `${attempt.jobName}, which is ${attempt.progress.phase}` : 'nothing'
  const text = `experiment ${experimentId} wants ${desired.state} in run ${state.run} and has ${has}`
  return [{ invariant: 'I4 convergence', experimentId, text, lines: [JSON.stringify(state)] }]
}

/** To want RUNNING is to want one run to completion: it runs, or it has run. */
function isReached({ ledger }: Evidence, { attempt, desired, run }: WorkflowState): boolean {
  if (desired.state !== 'RUNNING') return attempt === null || attempt.progress.phase === 'ended'
  if (attempt === null || attempt.run !== run) return false
  if (attempt.progress.phase === 'ended') return true
  return jobsOf(ledger).some(({ name, endedMs }) => name === attempt.jobName && endedMs === null)
}

function checkWedge({ workflowId, experimentId, taskTries, taskFailures }: WorkflowView): Violation[] {
  if (taskTries <= 1 && taskFailures.length === 0) return []
  const text = `${workflowId} tries its workflow task for the ${taskTries}. time, and ${taskFailures.length} failed before`
  return [{ invariant: 'I11 wedge', experimentId, text, lines: taskFailures }]
}

/** Jobs that nobody wants, or that nobody knows. */
function checkLiving(evidence: Evidence): Violation[] {
  return jobsOf(evidence.ledger)
    .filter(({ endedMs }) => endedMs === null)
    .flatMap((job) => {
      const row = evidence.experiments.find(({ id }) => id === job.experimentId)
      const isWanted = row?.desired_state === 'RUNNING' && row.deleted_at === null
      if (isWanted && row.job_id === job.jobId) return []
      const text = `job ${job.jobId} (${job.name}) lives, and its experiment is ${row?.desired_state ?? 'unknown'}`
      const lines = job.lines.map((line) => JSON.stringify(line))
      return [{ invariant: 'I4 convergence' as const, experimentId: job.experimentId, text, lines }]
    })
}

function checkHolding({ process, before, after }: Holding): Violation[] {
  const found = (text: string): Violation => ({ invariant: 'holdings', experimentId: null, text, lines: [] })
  return [
    ...(after.files > FILES_MAX(before.files)
      ? [found(`${process} has ${after.files} files open, ${before.files} at the start`)]
      : []),
    ...(after.residentMiB > RESIDENT_MIB_MAX(before.residentMiB)
      ? [found(`${process} holds ${after.residentMiB} MiB, ${before.residentMiB} MiB at the start`)]
      : []),
  ]
}
