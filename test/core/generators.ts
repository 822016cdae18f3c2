import fc from 'fast-check'
import { WISHES, type Wish } from '../../core/accept.ts'
import { type Experiment, NEVER, type Progress, type Verdict } from '../../core/experiment.ts'
import type { Fact } from '../../core/facts.ts'
import { recipeOf } from '../../core/recipe.ts'
import { clusterSeen, foreign, fresh, policyWith, seen, specWith, T } from '../support/experiments.ts'

const jobId = fc.integer({ min: 1, max: 4 })
/** Mostly in order, sometimes long ago. */
const atMs = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: T, max: T + 600_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: T - 600_000, max: T }) },
)
const name = fc.constantFrom('exp-1', 'exp-1', 'exp-1', 'other-9')
const verb = fc.constantFrom('start', 'stop', 'down')
const status = fc.constantFrom(
  'PENDING',
  'STARTING',
  'RUNNING',
  'RECOVERING',
  'CANCELLING',
  'WEIRD',
  'SUCCEEDED',
  'FAILED',
  'CANCELLED',
  'FAILED_SETUP',
  'FAILED_CONTROLLER',
)
const clusterStatus = fc.constantFrom('INIT', 'UP', 'STOPPED', 'AUTOSTOPPING', 'WEIRD')
const jobName = fc.constantFrom('exp-1.1.1', 'exp-1.1.1', 'exp-1.1.2', 'exp-1.2.1', 'exp-7.1.1')
const where = fc.constantFrom(null, null, 'exp-1', 'other-9')
const job = fc.record({ jobId, jobName, clusterName: where })
const refusal = fc.record({
  reason: fc.constant('the disk is full'),
  exceptionName: fc.constantFrom('CommandError', 'RuntimeError'),
})

export const anyWish: fc.Arbitrary<Wish> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('setDesiredState' as const),
      value: fc.constantFrom<unknown>('RUNNING', 'STOPPED', 'TERMINATED'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Wish>(
      { kind: 'hold', value: {} },
      { kind: 'release', value: {} },
      { kind: 'delete', value: {} },
      { kind: 'undelete', value: {} },
      { kind: 'confirmGone', value: { reason: 'looked' } },
      { kind: 'edit', value: { spec: { executor: 'cluster' } } },
      { kind: 'edit', value: { spec: { executor: 'managed' } } },
      { kind: 'edit', value: { policy: { drift: 'heal', restart: { when: 'always', maxRestarts: 3 } } } },
      { kind: 'edit', value: { policy: { drift: 'stop', maxRunMs: 60_000, maxAgeMs: 120_000 } } },
      { kind: 'adopt', value: { jobId: 3, jobName: 'theirs' } },
      { kind: 'adopt', value: { clusterName: 'exp-1' } },
    ),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom(...WISHES), value: fc.jsonValue({ maxDepth: 2 }) }),
  },
)

const anyObserved: fc.Arbitrary<Fact> = fc
  .record({
    jobId,
    status,
    jobName,
    clusterName: where,
    seenAtMs: atMs,
    scheduleState: fc.constantFrom('ALIVE', 'DONE', null),
    exit: fc.constantFrom(null, 'Job exited with exit code 3', 'Job exited with exit code 86'),
  })
  .map(({ exit: failureReason, jobId: id, status: word, ...rest }) =>
    seen(id, word, { ...rest, failureReason }),
  )

const anyForeign: fc.Arbitrary<Fact> = fc
  .record({ jobId, status, seenAtMs: atMs })
  .map(({ jobId: id, status: word, seenAtMs }) => foreign(id, word, { seenAtMs }))

/** Facts of every kind: late, twice, of the wrong job, of the wrong experiment. */
export const anyFact: fc.Arbitrary<Fact> = fc.oneof<Array<fc.Arbitrary<Fact>>>(
  anyObserved,
  anyObserved,
  anyForeign,
  fc.record({ kind: fc.constant('launchIntended'), atMs }),
  fc.record({ kind: fc.constant('launchRequested'), requestId: fc.constant('r'), atMs }),
  fc.record(
    {
      kind: fc.constant('launchUnsure'),
      reason: fc.constant('lost'),
      isForgotten: fc.boolean(),
      refusal,
      atMs,
    },
    { requiredKeys: ['kind', 'reason', 'isForgotten', 'atMs'] },
  ),
  fc.record({
    kind: fc.constant('launchRefused'),
    reason: fc.constant('no'),
    exceptionName: fc.constantFrom(null, 'ResourcesUnavailableError', 'ClusterNotUpError'),
    atMs,
  }),
  fc.record({ kind: fc.constant('abortAsked'), atMs }),
  fc.record({ kind: fc.constant('lookedEmpty'), atMs }),
  fc.record({ kind: fc.constant('lookedMaking'), atMs }),
  fc.record({ kind: fc.constant('jobFound'), jobId, atMs }),
  fc.record({ kind: fc.constant('cancelAsked'), job, atMs }),
  fc.record({ kind: fc.constant('vanished'), jobId, jobName, atMs }),
  fc.record({ kind: fc.constant('clusterAsked'), verb, name, atMs }),
  fc.record({ kind: fc.constant('clusterRefused'), verb, name, reason: fc.constant('no'), atMs }),
  fc.record({
    kind: fc.constant('autostopAsked'),
    name,
    minutes: fc.constantFrom(null, 30),
    refusal: fc.constantFrom(null, 'no'),
    atMs,
  }),
  fc
    .record({ name, status: clusterStatus, seenAtMs: atMs })
    .map(({ status: word, ...rest }) => clusterSeen(word, rest)),
  fc.record({ kind: fc.constant('clusterAbsent'), name, seenAtMs: atMs }),
  fc.record({ kind: fc.constant('clusterBusy'), name, atMs }),
  fc.record({
    kind: fc.constant('concluded'),
    conclusion: fc.constantFrom('limit', 'drift'),
    reason: fc.constant('so'),
    atMs,
  }),
  fc.record({ kind: fc.constant('told'), headline: fc.constant('h'), why: fc.constant('w'), atMs }),
  fc.record({
    kind: fc.constant('actionFailed'),
    action: fc.constantFrom('launch', 'cancel', 'look', 'cluster'),
    errorKind: fc.constantFrom('SkyPilot.unreachable', 'SkyPilot.rejected'),
    reason: fc.constant('no'),
    atMs,
  }),
  fc.record({
    kind: fc.constant('projected'),
    revision: fc.integer({ min: 0, max: 40 }),
    lastSeq: fc.integer({ min: 0, max: 40 }),
  }),
)

export type Step = { wish: Wish } | { fact: Fact } | { waitMs: number }

export const anyStep: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: anyWish.map((wish) => ({ wish })) },
  { weight: 6, arbitrary: anyFact.map((fact) => ({ fact })) },
  { weight: 1, arbitrary: fc.constantFrom(1_000, 30_000, 3_600_000).map((waitMs) => ({ waitMs })) },
)

const verdict = fc.constantFrom<Verdict>(
  { outcome: 'succeeded', blame: 'none', status: 'SUCCEEDED', exitCode: 0, reason: null, atMs: T },
  { outcome: 'failed', blame: 'code', status: 'FAILED', exitCode: 3, reason: null, atMs: T },
  {
    outcome: 'failed',
    blame: 'infrastructure',
    status: 'FAILED_CONTROLLER',
    exitCode: null,
    reason: null,
    atMs: T,
  },
  { outcome: 'cancelled', blame: 'none', status: 'CANCELLED', exitCode: null, reason: null, atMs: T },
  { outcome: 'lost', blame: 'infrastructure', status: 'GONE', exitCode: null, reason: null, atMs: T },
  { outcome: 'never-started', blame: 'code', status: 'REFUSED', exitCode: null, reason: 'no', atMs: T },
)

const view = (word: string) => ({
  status: word,
  statusSinceMs: T,
  details: null,
  submittedAtMs: T,
  startedAtMs: null,
  endedAtMs: null,
  recoveries: 0,
  runningSinceMs: word === 'RUNNING' ? T : null,
  seenAtMs: T,
})

const anyProgress: fc.Arbitrary<Progress> = fc.oneof<Array<fc.Arbitrary<Progress>>>(
  fc.record(
    {
      phase: fc.constant('intended'),
      looksEmpty: fc.integer({ min: 0, max: 3 }),
      unsure: fc.boolean(),
      settledAtMs: fc.constantFrom(T, T + 30_000),
      makingUntilMs: fc.constantFrom(T, T + 900_000),
      refusal,
    },
    { requiredKeys: ['phase', 'looksEmpty', 'unsure', 'settledAtMs'] },
  ),
  fc.record({ phase: fc.constant('requested'), requestId: fc.constant('r'), sinceMs: fc.constant(T) }),
  fc.record({
    phase: fc.constant('active'),
    jobId,
    job: fc.constantFrom('PENDING', 'RUNNING', 'CANCELLING', 'WEIRD').map(view),
    cancel: fc.constantFrom(null, { sinceMs: T, askedAtMs: T }),
    verdict: fc.oneof(
      { weight: 4, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: verdict.filter(({ status: word }) => word !== 'GONE' && word !== 'REFUSED') },
    ),
  }),
  fc.record({
    phase: fc.constant('ended'),
    jobId: fc.constantFrom(null, 2),
    job: fc.constantFrom(null, view('RUNNING')),
    verdict,
    overAtMs: fc.constant(T),
  }),
)

/** States as nobody may ever have reached them: the rules go by what is, not by how it came about. */
export const anyState: fc.Arbitrary<Experiment> = fc
  .record({
    executor: fc.constantFrom('managed' as const, 'cluster' as const),
    desired: fc.constantFrom('RUNNING' as const, 'STOPPED' as const, 'TERMINATED' as const),
    run: fc.integer({ min: 1, max: 3 }),
    attempt: fc.option(
      fc.record({
        run: fc.integer({ min: 1, max: 3 }),
        attempt: fc.integer({ min: 1, max: 3 }),
        isOn: fc.boolean(),
        progress: anyProgress,
      }),
    ),
    cluster: fc.option(
      fc.record({
        status: fc.option(clusterStatus),
        everUp: fc.boolean(),
        looksAbsent: fc.integer({ min: 0, max: 1 }),
        verb: fc.option(verb),
        refused: fc.option(verb),
      }),
    ),
    strays: fc.array(
      fc.record({
        jobId: fc.integer({ min: 5, max: 8 }),
        jobName: fc.constant('exp-1.1.9'),
        clusterName: fc.constantFrom(null, 'exp-1'),
        asks: fc.integer({ min: 0, max: 3 }),
        askedAtMs: fc.constantFrom(NEVER, T),
      }),
      { maxLength: 2 },
    ),
    deleted: fc.boolean(),
    restart: fc.constantFrom('never' as const, 'on-failure' as const, 'always' as const),
    drift: fc.constantFrom('heal' as const, 'stop' as const, 'ask' as const),
    isClosed: fc.boolean(),
  })
  .map((given) => stateOf(given))

type Given = {
  executor: 'managed' | 'cluster'
  desired: 'RUNNING' | 'STOPPED' | 'TERMINATED'
  run: number
  attempt: { run: number; attempt: number; isOn: boolean; progress: Progress } | null
  cluster: {
    status: string | null
    everUp: boolean
    looksAbsent: number
    verb: 'start' | 'stop' | 'down' | null
    refused: 'start' | 'stop' | 'down' | null
  } | null
  strays: Experiment['strays']
  deleted: boolean
  restart: 'never' | 'on-failure' | 'always'
  drift: 'heal' | 'stop' | 'ask'
  isClosed: boolean
}

function stateOf(given: Given): Experiment {
  const { executor, desired, attempt, cluster, strays, restart, drift, isClosed } = given
  const base = fresh(executor, policyWith({ drift }, { when: restart, maxRestarts: 3 }))
  const run = Math.max(given.run, attempt?.run ?? 0)
  return {
    ...base,
    run,
    deleted: given.deleted && desired === 'TERMINATED',
    desired: { ...base.desired, state: desired, generation: 1 },
    attempt: attempt && {
      run: attempt.run,
      attempt: attempt.attempt,
      jobName: `exp-1.${attempt.run}.${attempt.attempt}`,
      clusterName: attempt.isOn && cluster ? 'exp-1' : null,
      specRevision: 1,
      command: '',
      createdAtMs: T,
      progress: attempt.progress,
      changedAt: 1,
    },
    cluster: cluster && clusterOf(cluster),
    strays,
    closing: isClosed ? { status: 'LIMIT', reason: 'a limit', atMs: T } : null,
  }
}

const clusterOf = ({
  status: word,
  everUp,
  looksAbsent,
  verb: asked,
  refused,
}: NonNullable<Given['cluster']>): NonNullable<Experiment['cluster']> => ({
  name: 'exp-1',
  status: word,
  statusSinceMs: T,
  reason: null,
  everUp: everUp || word === 'UP' || word === 'STOPPED',
  recipe: recipeOf(specWith()),
  launchedAtMs: null,
  autostopMinutes: null,
  autostopAsked: null,
  autostopRefusal: null,
  seenAtMs: T,
  existsSinceMs: NEVER,
  looksAbsent,
  asked: asked && { verb: asked, sinceMs: T, atMs: T },
  refused: refused && { verb: refused, reason: 'no' },
})
