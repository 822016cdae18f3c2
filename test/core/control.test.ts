import fc from 'fast-check'
import { expect, test } from 'vitest'
import { accept, type Wish } from '../../core/accept.ts'
import { parseJobName } from '../../core/build-task.ts'
import { type Action, CANCEL_REPEAT_MS, decide } from '../../core/decide.ts'
import { evolve, type Fact, type Observation } from '../../core/evolve.ts'
import { born, type Experiment } from '../../core/experiment.ts'

const T = 1_000_000
const fresh = (): Experiment =>
  born({
    id: 1,
    name: 'exp',
    actor: 'ann',
    atMs: T,
    spec: {
      command: { form: 'template', template: 'echo {flags}', flagStyle: 'key=value' },
      flags: {},
      nodes: 1,
      gpus: 0,
      accelerator: null,
      cloud: null,
      instanceType: null,
      spot: false,
      setup: null,
      envs: {},
    },
  })
const want = (state: Experiment, value: unknown, atMs = T): Experiment =>
  accept(state, { kind: 'setDesiredState', value }, atMs)[0]
const seen = (jobId: number, status: string, over: Partial<Observation> = {}): Fact => {
  const observation: Observation = {
    jobId,
    jobName: 'exp-1.1.1',
    status,
    scheduleState: 'ALIVE',
    details: null,
    failureReason: null,
    submittedAtMs: T,
    startedAtMs: null,
    endedAtMs: null,
    recoveries: 0,
    seenAtMs: T,
    ...over,
  }
  const identity = parseJobName(observation.jobName)
  if (!identity) throw new Error('the observation needs one of our names')
  return { kind: 'observed', identity, observation }
}
const after = (state: Experiment, ...facts: Fact[]): Experiment => facts.reduce(evolve, state)
const launched = (jobId = 7): Experiment =>
  after(
    want(fresh(), 'RUNNING'),
    { kind: 'launchIntended', atMs: T },
    { kind: 'launchRequested', requestId: 'r', atMs: T },
    { kind: 'jobFound', jobId, atMs: T },
  )
const ended = (status: string, failureReason: string | null = null): Experiment =>
  after(launched(), seen(7, 'RUNNING'), seen(7, status, { scheduleState: 'DONE', failureReason }))

test.each<[string, Experiment, Partial<Action>]>([
  ['rests when nobody wished anything', fresh(), { kind: 'wait', why: 'never started' }],
  ['launches when RUNNING is wanted', want(fresh(), 'RUNNING'), { kind: 'launch' }],
  [
    'leaves a healthy job alone',
    after(launched(), seen(7, 'RUNNING')),
    { kind: 'wait', forMs: null, why: 'running' },
  ],
  ['leaves a job with an unknown status alone', after(launched(), seen(7, 'FROBNICATING')), { kind: 'wait' }],
  ['cancels a live job when STOPPED is wanted', want(launched(), 'STOPPED'), { kind: 'cancel', jobId: 7 }],
  [
    'aborts a launch when STOPPED is wanted',
    want(
      after(
        want(fresh(), 'RUNNING'),
        { kind: 'launchIntended', atMs: T },
        { kind: 'launchRequested', requestId: 'r', atMs: T },
      ),
      'STOPPED',
    ),
    { kind: 'abort', requestId: 'r' },
  ],
  [
    'looks, and does not launch, when stopped with a launch unsure',
    want(after(want(fresh(), 'RUNNING'), { kind: 'launchIntended', atMs: T }), 'STOPPED'),
    { kind: 'look' },
  ],
  [
    'does not relaunch what succeeded',
    ended('SUCCEEDED'),
    { kind: 'wait', why: 'finished with exit code 0' },
  ],
  [
    'does not relaunch what failed, and says the exit code',
    ended('FAILED', 'Job exited with exit code 3 (user program failure).'),
    { kind: 'wait', why: 'your code failed with exit code 3' },
  ],
  ['RUNNING again after an end is a new run', want(ended('SUCCEEDED'), 'RUNNING'), { kind: 'launch' }],
  [
    'waits for the clean-up after the verdict',
    after(launched(), seen(7, 'SUCCEEDED')),
    { kind: 'wait', why: 'finished with exit code 0; SkyPilot is cleaning up' },
  ],
  [
    'cancels the younger of two live jobs',
    after(launched(), seen(9, 'RUNNING')),
    { kind: 'cancel', jobId: 9 },
  ],
  [
    'keeps the older even when it is the other',
    after(launched(), seen(3, 'RUNNING')),
    { kind: 'cancel', jobId: 7 },
  ],
])('%s', (_, state, expected) => {
  expect(decide(state, T)).toMatchObject(expected)
})

test('a cancel without effect is repeated, for ever but not at once', () => {
  const asked = after(want(launched(), 'STOPPED'), { kind: 'cancelAsked', jobId: 7, atMs: T })
  expect(decide(asked, T)).toMatchObject({ kind: 'wait', forMs: CANCEL_REPEAT_MS })
  expect(decide(asked, T + CANCEL_REPEAT_MS)).toMatchObject({ kind: 'cancel', jobId: 7 })
})

test('the first verdict is kept: a late FAILED_CONTROLLER does not turn success into failure', () => {
  const state = after(
    launched(),
    seen(7, 'SUCCEEDED'),
    seen(7, 'FAILED_CONTROLLER', { scheduleState: 'DONE' }),
  )
  expect(state.attempt?.progress).toMatchObject({
    phase: 'ended',
    verdict: { outcome: 'succeeded', status: 'SUCCEEDED' },
  })
})

test('a job with our name that nobody launched here is adopted', () => {
  const state = after(want(fresh(), 'RUNNING'), seen(5, 'RUNNING'))
  expect(state.attempt).toMatchObject({ run: 1, attempt: 1, progress: { phase: 'active', jobId: 5 } })
})

test('a look that began before the launch was known to have made a job still counts', () => {
  const requested = after(
    want(fresh(), 'RUNNING'),
    { kind: 'launchIntended', atMs: T },
    { kind: 'launchRequested', requestId: 'r', atMs: T },
  )
  const found = after(requested, { kind: 'jobFound', jobId: 7, atMs: T + 500 })
  const told = after(found, seen(7, 'RUNNING'))
  expect(told.attempt?.progress).toMatchObject({ phase: 'active', job: { status: 'RUNNING', seenAtMs: T } })
})

test('an ended job seen alive by an old look stays ended', () => {
  expect(after(ended('SUCCEEDED'), seen(7, 'RUNNING')).attempt?.progress.phase).toBe('ended')
})

test('RUNNING twice is one run; stop and run again is a second', () => {
  expect(want(want(fresh(), 'RUNNING'), { state: 'RUNNING' }).run).toBe(1)
  expect(want(want(want(fresh(), 'RUNNING'), 'STOPPED'), 'RUNNING').run).toBe(2)
})

test.each<[unknown, string]>([
  ['running', 'desired state must be one of'],
  [null, 'desired state must be one of'],
  [[], 'desired state must be one of'],
  [{ state: 'PAUSED' }, 'desired state must be one of'],
  [{ state: 'RUNNING', ifRevision: 9 }, 'it changed meanwhile'],
])('refuses %j and counts it', (value, reason) => {
  const [state, receipt] = accept(fresh(), { kind: 'setDesiredState', value }, T)
  expect(receipt).toMatchObject({ accepted: false, reason: expect.stringContaining(reason) as string })
  expect(state).toMatchObject({ badMessages: 1, desired: { state: 'STOPPED' } })
})

const anyWish: fc.Arbitrary<Wish> = fc.record({
  kind: fc.constantFrom(
    'setDesiredState' as const,
    'setFlags' as const,
    'cancelJob' as const,
    'edit' as const,
    'delete' as const,
  ),
  value: fc.oneof(
    fc.constantFrom('RUNNING', 'STOPPED', 'TERMINATED'),
    fc.jsonValue(),
    fc.record({ spec: fc.record({ flags: fc.jsonValue(), nodes: fc.jsonValue() }) }),
  ),
})
const anyFact: fc.Arbitrary<Fact> = fc.oneof(
  fc.record({ kind: fc.constant('launchIntended' as const), atMs: fc.constant(T) }),
  fc.record({
    kind: fc.constant('launchRequested' as const),
    requestId: fc.constant('r'),
    atMs: fc.constant(T),
  }),
  fc.record({
    kind: fc.constant('launchUnsure' as const),
    reason: fc.constant('lost'),
    atMs: fc.constant(T),
  }),
  fc.record({ kind: fc.constant('launchRefused' as const), reason: fc.constant('no'), atMs: fc.constant(T) }),
  fc.record({ kind: fc.constant('lookedEmpty' as const), atMs: fc.constant(T) }),
  fc.record({
    kind: fc.constant('jobFound' as const),
    jobId: fc.integer({ min: 1, max: 4 }),
    atMs: fc.constant(T),
  }),
  fc.record({
    kind: fc.constant('cancelAsked' as const),
    jobId: fc.integer({ min: 1, max: 4 }),
    atMs: fc.constant(T),
  }),
  fc.record({
    kind: fc.constant('vanished' as const),
    jobName: fc.constant('exp-7.1.1'),
    jobId: fc.integer({ min: 1, max: 4 }),
    atMs: fc.constant(T),
  }),
  fc
    .tuple(
      fc.integer({ min: 1, max: 4 }),
      fc.constantFrom('PENDING', 'RUNNING', 'CANCELLING', 'WEIRD', 'SUCCEEDED', 'FAILED', 'CANCELLED'),
      fc.constantFrom('ALIVE', 'DONE'),
    )
    .map(([jobId, status, scheduleState]) => seen(jobId, status, { scheduleState })),
)
type Step = { wish: Wish } | { fact: Fact }
const anyStep: fc.Arbitrary<Step> = fc.oneof(
  anyWish.map((wish) => ({ wish })),
  anyFact.map((fact) => ({ fact })),
)
const play = (steps: Step[]): Experiment =>
  steps.reduce(
    (state, next) => ('wish' in next ? accept(state, next.wish, T)[0] : evolve(state, next.fact)),
    fresh(),
  )

test('nothing is launched anew while a job or a request of ours may exist', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
      const state = play(steps)
      const action = decide(state, T + 10 * CANCEL_REPEAT_MS)
      // An intended launch may be asked for again: the activity looks for the first one before it asks.
      if (action.kind === 'launch')
        expect([undefined, 'intended', 'ended']).toContain(state.attempt?.progress.phase)
    }),
    { numRuns: 3_000 },
  )
})

test('state survives JSON, and its revision never goes back', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
      let revision = 0
      let state = fresh()
      for (const next of steps) {
        state = 'wish' in next ? accept(state, next.wish, T)[0] : evolve(state, next.fact)
        expect(state.revision).toBeGreaterThanOrEqual(revision)
        revision = state.revision
      }
      expect(JSON.parse(JSON.stringify(state))).toEqual(state)
    }),
    { numRuns: 1_000 },
  )
})

/** What the queue shows on a good day: the job as it should be by now. */
function pollOnce(state: Experiment, jobName: string, nowMs: number): Experiment {
  const progress = state.attempt?.progress
  if (progress?.phase !== 'active') return state
  const obeyed = state.desired.state === 'RUNNING' ? 'RUNNING' : 'CANCELLED'
  const status = progress.verdict?.status ?? obeyed
  const scheduleState = status === 'RUNNING' ? 'ALIVE' : 'DONE'
  return evolve(state, seen(progress.jobId, status, { jobName, scheduleState, seenAtMs: nowMs }))
}

/** SkyPilot as it is on a good day: takes launches, runs jobs, obeys cancels. */
function world(state: Experiment, action: Action, nowMs: number): Experiment {
  const { attempt } = state
  const jobName = attempt?.jobName ?? 'exp-1.1.1'
  switch (action.kind) {
    case 'launch':
      return after(
        state,
        { kind: 'launchIntended', atMs: nowMs },
        { kind: 'launchRequested', requestId: 'r', atMs: nowMs },
      )
    case 'follow':
      return evolve(state, { kind: 'jobFound', jobId: 50, atMs: nowMs })
    case 'abort':
      return evolve(state, { kind: 'launchUnsure', reason: 'aborted', atMs: nowMs })
    case 'look':
      return evolve(state, { kind: 'lookedEmpty', atMs: nowMs })
    case 'cancel': {
      const asked = evolve(state, { kind: 'cancelAsked', jobId: action.jobId, atMs: nowMs })
      return evolve(
        asked,
        seen(action.jobId, 'CANCELLED', { jobName, scheduleState: 'DONE', seenAtMs: nowMs }),
      )
    }
    case 'wait':
      return pollOnce(state, jobName, nowMs)
    case 'finish':
      return state
  }
}

test('from any state, a constant wish is reached in a fair world', () => {
  fc.assert(
    fc.property(
      fc.array(anyStep, { maxLength: 20 }),
      fc.constantFrom('RUNNING', 'STOPPED', 'TERMINATED'),
      (steps, wanted) => {
        let state = want(play(steps), wanted)
        let nowMs = T
        for (let i = 0; i < 30; i++) {
          nowMs += 200_000
          state = world(state, decide(state, nowMs), nowMs)
        }
        const phase = state.attempt?.progress.phase
        if (state.deleted) expect(decide(state, nowMs).kind).toBe('finish')
        else if (wanted === 'RUNNING') expect(['active', 'ended']).toContain(phase)
        else expect([undefined, 'ended']).toContain(phase)
        expect(state.strays).toEqual([])
      },
    ),
    { numRuns: 3_000 },
  )
})
