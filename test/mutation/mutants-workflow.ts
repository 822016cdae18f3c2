import { type Mutant, mutantsOf } from './mutant.ts'

const TESTS = 'test/activations/experiment.test.ts'
const workflow = mutantsOf('workflows/experiment.ts', TESTS)
const perform = mutantsOf('workflows/perform.ts', TESTS)
const converter = mutantsOf('workflows/payload-converter.ts', TESTS)
const guards = mutantsOf('core/guards.ts', TESTS)

/** The workflow, in Temporal's own sandbox. */
export const WORKFLOW_MUTANTS: readonly Mutant[] = [
  converter(
    'what cannot be decoded stops nothing',
    'return inner.fromPayload<T>(undecodable)',
    `throw new Error('it cannot be decoded')`,
    'bytes that nothing can decode are counted, and the task does not fail',
  ),
  converter(
    'what cannot be decoded stops nothing',
    'inner.toPayload(UNDECODABLE)',
    'inner.toPayload({ undecodable: true })',
    'bytes that nothing can decode are counted, and the task does not fail',
  ),
  mutantsOf('core/accept.ts', TESTS)(
    'what cannot be decoded stops nothing',
    'if (isUndecodable(value)) return',
    'if (false) return',
    'bytes that nothing can decode are counted, and the task does not fail',
  ),
  workflow(
    'messages are guarded',
    'Array.isArray(facts) && facts.every(isFact)',
    'Array.isArray(facts)',
    'looks of a wrong shape are counted, and the task does not fail',
  ),
  guards(
    'messages are guarded',
    'kind !== undefined && SHAPES[kind](value)',
    'kind !== undefined',
    'looks of a wrong shape are counted, and the task does not fail',
  ),
  guards(
    'messages are guarded',
    'return kind !== undefined && SHAPES[kind](value)',
    'return kind === undefined || SHAPES[kind](value)',
    'what only a workflow itself can know is not taken from a message',
  ),
  workflow(
    'messages are guarded',
    'wf.setDefaultSignalHandler(',
    'void (',
    'a signal of an unknown name is counted',
  ),
  mutantsOf('sdk/experiments.ts', 'test/api/given-back.test.ts')(
    'a wish that a failed task gave back is sent again',
    'if (!wasGivenBack(error)) throw error',
    'throw error',
    'is sent again, as the same wish',
  ),
  mutantsOf('sdk/experiments.ts', 'test/api/given-back.test.ts')(
    'a wish that a failed task gave back is sent again',
    'return code === GIVEN_BACK',
    'return code > 0',
    'a wish of which nobody knows whether it arrived is not sent again',
  ),
  workflow(
    'the whole state goes on to the next run',
    'wf.continueAsNew<typeof experiment>(self.state)',
    'wf.continueAsNew<typeof experiment>({ ...self.state, strays: [] })',
    'begins with the whole state, and with the wishes of the very task that ends the old one',
  ),
  workflow(
    'the whole state goes on to the next run',
    'wf.continueAsNew<typeof experiment>(self.state)',
    'wf.continueAsNew<typeof experiment>(given)',
    'begins with the whole state, and with the wishes of the very task that ends the old one',
  ),
  workflow(
    'a history stays short',
    'historyLength > HISTORY_EVENTS_MAX',
    'historyLength > 20 * HISTORY_EVENTS_MAX',
    'begins long before Temporal asks for it, so that another worker soon has replayed a run',
  ),
  workflow(
    'a run is left only with all its messages taken',
    'registerHandlers(self)\n  //',
    'void wf.sleep(1).then(() => registerHandlers(self))\n  //',
    'that is to end at once takes the wishes that came with its beginning',
  ),
  {
    // Handlers that wait for nothing are done before the run can be left. The drain holds those that come to wait.
    protection: 'a run is left only with all its messages taken',
    edits: [
      {
        file: 'workflows/experiment.ts',
        text: 'await wf.condition(wf.allHandlersFinished)',
        becomes: '',
      },
      {
        file: 'workflows/experiment.ts',
        text: '(value) => self.take(kind, value))\n',
        becomes:
          'async (value) => { for (let turn = 0; turn < 20; turn += 1) await undefined; return self.take(kind, value) })\n',
      },
    ],
    test: [TESTS, 'that is to end at once takes the wishes that came with its beginning'],
    project: 'unit',
  },
  workflow(
    'cancelling the workflow means to clean up',
    `self.take('delete', { actor: 'temporal', reason: 'cancelled in Temporal' })`,
    'self.hasNews()',
    'cancelling the workflow means to clean up, and then to end',
  ),
  workflow(
    'cancelling the workflow means to clean up',
    'wf.CancellationScope.nonCancellable(',
    'wf.CancellationScope.cancellable(',
    'cancelling the workflow means to clean up, and then to end',
  ),
  workflow(
    'the end comes when the tables know all of it',
    'if (self.isProjected()) return undefined',
    'return undefined',
    'comes only when the tables know all of it',
  ),
  workflow(
    'a stop during a launch aborts it',
    'scope.cancel()',
    '',
    'that is stopped on its way is cut short, and what it made all the same is cancelled',
  ),
  workflow(
    'an attempt keeps its identity',
    `if (action.kind === 'launch') self.learn(`,
    'if (false) self.learn(',
    'has its identity before it is asked for',
  ),
  perform(
    'a second look when unsure',
    `if (action.kind === 'launch' && isCancellation(error))`,
    'if (false)',
    'that was cut short may have launched: the next try is told so',
  ),
  perform(
    'a second look when unsure',
    `[{ kind: 'launchUnsure', reason, atMs }, trouble]`,
    '[trouble]',
    'that failed may have launched: the next try is told so',
  ),
  perform(
    'a second look when unsure',
    'unsureBefore: unsure',
    'unsureBefore: false',
    'that failed may have launched: the next try is told so',
  ),
  perform(
    'a forgotten launch has time to show itself',
    "{ ...outcome, kind: 'launchUnsure'",
    "{ ...outcome, isForgotten: false, kind: 'launchUnsure'",
    'that SkyPilot forgot may be worked on: it is looked for, for long, and not sent again',
  ),
  perform(
    'one action at a time',
    `taskQueue: LAUNCH_TASK_QUEUE,
  startToCloseTimeout: '12h',
  heartbeatTimeout: '10s',
  cancellationType: WAIT_CANCELLATION_COMPLETED,`,
    `taskQueue: LAUNCH_TASK_QUEUE,
  startToCloseTimeout: '12h',
  heartbeatTimeout: '10s',
  cancellationType: TRY_CANCEL,`,
    'ends before anything else begins',
  ),
  mutantsOf('core/action.ts', TESTS)(
    'one action at a time',
    `action.kind === 'cancel' ||\n`,
    '\n',
    'of a job is asked for to the end, whatever is wished meanwhile',
  ),
  perform(
    'a cluster is gone only after down and two looks',
    `{ kind: 'clusterBusy', name, atMs: Date.now() }`,
    `{ kind: 'clusterAbsent', name, seenAtMs: Date.now() }`,
    'of a cluster is not concluded while a request for it is under way',
  ),
]
