import { fileURLToPath } from 'node:url'
import { defaultPayloadConverter, type Payload, TypedSearchAttributes } from '@temporalio/common'
import { coresdk } from '@temporalio/proto'
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker'
import { parseWorkflowCode } from '@temporalio/worker/lib/worker.js'
import type { Workflow } from '@temporalio/worker/lib/workflow/interface.js'
import { VMWorkflowCreator } from '@temporalio/worker/lib/workflow/vm.js'
import type { WorkflowInfo } from '@temporalio/workflow'
import type { Experiment } from '../../core/experiment.ts'
import { T } from '../support/experiments.ts'

const { WorkflowActivation } = coresdk.workflow_activation
type Job = Parameters<typeof WorkflowActivation.fromObject>[0]
type Command = coresdk.workflow_commands.IWorkflowCommand

const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const TASK_MS = 5_000
const RUN_ID = 'run'

/** An activity that a workflow wants, and how it is told what came of it. */
export interface Wanted {
  seq: number
  activityType: string
  argument: unknown
}

/** What came of one workflow task. */
export interface Outcome {
  commands: Command[]
  /** What was asked for, in its order: an activity by its name, all else by the name of its command. */
  asked: string[]
  /** Where the task failed, which stops a workflow until a new release. */
  failure: string | null
}

/**
 * The shipped workflows in Temporal's own sandbox, and no server: a test says what the server would tell, task by task,
 * and sees what is asked of it. So a single task can hold what meets by chance only otherwise.
 */
export class Sandbox {
  readonly #creator: VMWorkflowCreator

  private constructor(creator: VMWorkflowCreator) {
    this.#creator = creator
  }

  static async open(): Promise<Sandbox> {
    const { code } = await bundleWorkflowCode({
      workflowsPath: path('workflows/index.ts'),
      payloadConverterPath: path('workflows/payload-converter.ts'),
      logger: new DefaultLogger('WARN'),
    })
    const bundle = parseWorkflowCode(code)
    return new Sandbox(await VMWorkflowCreator.create(bundle, TASK_MS, new Set()))
  }

  /** A run of `experiment` that begins with this state. Its first task may hold more than the beginning. */
  start(
    state: Experiment,
    task: TaskOptions = {},
    more: (run: Run) => Job[] = () => [],
  ): Promise<[Run, Outcome]> {
    return this.begin('experiment', state, task, more)
  }

  /** A run of any workflow, with its argument. */
  async begin(
    workflowType: string,
    argument: unknown,
    task: TaskOptions = {},
    more: (run: Run) => Job[] = () => [],
  ): Promise<[Run, Outcome]> {
    const info = { ...INFO, workflowType, unsafe: { ...INFO.unsafe, now: () => T } }
    const workflow = await this.#creator.createWorkflow({
      info: info as unknown as WorkflowInfo,
      randomnessSeed: [1, 2, 3, 4],
      now: T,
      showStackTraceSources: false,
    })
    const run = new Run(workflow)
    const initializeWorkflow = {
      workflowType,
      workflowId: 'experiment-1',
      arguments: [payloadOf(argument)],
    }
    return [run, await run.task([{ initializeWorkflow }, ...more(run)], task)]
  }

  close(): Promise<void> {
    return this.#creator.destroy()
  }
}

interface TaskOptions {
  /** When the task is, after the beginning of the stories. */
  afterMs?: number
  /** Temporal thinks that the history is long enough. */
  continueAsNewSuggested?: boolean
  /** Events so far. */
  historyLength?: number
  /** The task is of the past: what is asked in it must be what was asked then. */
  isReplaying?: boolean
}

export class Run {
  readonly #workflow: Workflow
  readonly #open = new Map<number, Wanted>()
  #timers: number[] = []
  #updates = 0

  constructor(workflow: Workflow) {
    this.#workflow = workflow
  }

  /** Has one workflow task with these jobs done. */
  async task(
    jobs: readonly Job[],
    { afterMs = 0, continueAsNewSuggested = false, historyLength = 3, isReplaying = false }: TaskOptions = {},
  ): Promise<Outcome> {
    const atMs = T + afterMs
    const activation = WorkflowActivation.fromObject({
      runId: RUN_ID,
      timestamp: { seconds: Math.floor(atMs / 1_000), nanos: (atMs % 1_000) * 1_000_000 },
      historyLength,
      continueAsNewSuggested,
      isReplaying,
      jobs,
    })
    const { successful, failed } = await this.#workflow.activate(activation)
    await this.#workflow.getAndResetSinkCalls()
    const commands = successful?.commands ?? []
    for (const { scheduleActivity, startTimer } of commands) {
      if (scheduleActivity) this.#note(scheduleActivity)
      if (startTimer) this.#timers.push(startTimer.seq ?? 0)
    }
    return {
      commands,
      asked: commands.map(nameOf),
      failure: failed?.failure?.message ?? null,
    }
  }

  #note({ seq, activityType, arguments: given }: coresdk.workflow_commands.IScheduleActivity): void {
    const wanted = { seq: seq ?? 0, activityType: activityType ?? '', argument: valueOf(given?.[0]) }
    this.#open.set(wanted.seq, wanted)
  }

  /** The activity of this name that is under way. */
  activity(name: string): Wanted {
    const wanted = [...this.#open.values()].find(({ activityType }) => activityType === name)
    if (!wanted)
      throw new Error(
        `${name} is not under way, but ${[...this.#open.values()].map((each) => each.activityType).join()}`,
      )
    return wanted
  }

  /** The names of the activities under way. */
  get underWay(): string[] {
    return [...this.#open.values()].map(({ activityType }) => activityType)
  }

  /** The job of a task in which an activity ends with this result. */
  done(name: string, result: unknown = null): Job {
    const { seq } = this.activity(name)
    this.#open.delete(seq)
    return { resolveActivity: { seq, result: { completed: { result: payloadOf(result) } } } }
  }

  /** The job of a task in which the timer that was set last has rung. */
  rung(): Job {
    const seq = this.#timers.pop()
    if (seq === undefined) throw new Error('no timer is set')
    return { fireTimer: { seq } }
  }

  /** The job of a task in which an activity has failed for good. */
  failed(name: string, message: string): Job {
    const { seq } = this.activity(name)
    this.#open.delete(seq)
    const cause = { message, applicationFailureInfo: { type: 'SkyPilot.unreachable' } }
    const failure = {
      message: 'Activity task failed',
      cause,
      activityFailureInfo: { activityType: { name } },
    }
    return { resolveActivity: { seq, result: { failed: { failure } } } }
  }

  /** The job of a task in which an activity ends because it was cancelled. */
  cancelled(name: string): Job {
    const { seq } = this.activity(name)
    this.#open.delete(seq)
    const failure = { message: 'cancelled', canceledFailureInfo: {} }
    return { resolveActivity: { seq, result: { cancelled: { failure } } } }
  }

  /** The job of a task in which a wish with a receipt arrives. */
  update(name: string, value: unknown): Job {
    const id = `update-${(this.#updates += 1)}`
    return {
      doUpdate: { id, protocolInstanceId: id, name, input: [payloadOf(value)], meta: { updateId: id } },
    }
  }

  /** What the workflow shows of its state. */
  async state(): Promise<Experiment> {
    const { commands } = await this.task([
      { queryWorkflow: { queryId: 'q', queryType: 'getState', arguments: [] } },
    ])
    return valueOf(commands[0]?.respondToQuery?.succeeded?.response) as Experiment
  }
}

const nameOf = (command: Command): string =>
  command.scheduleActivity?.activityType ?? Object.keys(command)[0] ?? ''

/** The state with which the next run begins; undefined where this one goes on. */
export function carriedOn({ commands }: Outcome): unknown {
  const next = commands.find((command) => command.continueAsNewWorkflowExecution)
  return next && valueOf(next.continueAsNewWorkflowExecution?.arguments?.[0])
}

/** The job of a task in which a signal arrives. */
export const signal = (signalName: string, ...input: Payload[]): Job => ({
  signalWorkflow: { signalName, input },
})

/** The job of a task in which somebody cancels the workflow. */
export const cancelWorkflow = { cancelWorkflow: { reason: 'a test' } }

export const payloadOf = (value: unknown): Payload => defaultPayloadConverter.toPayload(value)
export const valueOf = (payload: Payload | null | undefined): unknown =>
  payload ? defaultPayloadConverter.fromPayload(payload) : undefined

const INFO = {
  workflowId: 'experiment-1',
  runId: RUN_ID,
  firstExecutionRunId: RUN_ID,
  workflowType: 'experiment',
  searchAttributes: {},
  typedSearchAttributes: new TypedSearchAttributes(),
  historyLength: 3,
  historySize: 0,
  continueAsNewSuggested: false,
  taskQueue: 'skydeck',
  namespace: 'default',
  attempt: 1,
  taskTimeoutMs: 10_000,
  startTime: new Date(T),
  runStartTime: new Date(T),
  unsafe: { isReplaying: false, isReplayingHistoryEvents: false },
}
