import fc from 'fast-check'
import { expect, test } from 'vitest'
import { accept } from '../../core/accept.ts'
import { advance, retold } from '../../core/advance.ts'
import { decide } from '../../core/decide.ts'
import { evolve } from '../../core/evolve.ts'
import { type Experiment, liveAttempt } from '../../core/experiment.ts'
import { explain, wakeAtMs } from '../../core/explain.ts'
import type { Fact } from '../../core/facts.ts'
import { HEADLINE_WORDS } from '../../core/headline.ts'
import { snapshotOf } from '../../core/snapshot.ts'
import {
  after,
  ended,
  found,
  fresh,
  intended,
  policyWith,
  requested,
  seen,
  T,
  want,
  wish,
} from '../support/experiments.ts'
import { FairWorld } from './fair-world.ts'
import { anyFact, anyState, anyStep, anyWish, type Step } from './generators.ts'

/** P1, P2: what must be true of any decision. */
function checkDecision(state: Experiment, nowMs: number): void {
  const action = decide(state, nowMs)
  if (action.kind === 'launch') checkLaunch(state)
  if (action.kind === 'cancel') checkCancel(state, action.job.jobId)
  if (action.kind === 'finish' && (liveAttempt(state) || state.cluster || state.strays.length > 0))
    throw new Error('finishes while something is left')
  if (action.kind === 'wait' && action.untilMs !== null && action.untilMs <= nowMs)
    throw new Error('waits for what is past')
  const wakeMs = wakeAtMs(state, action, nowMs)
  if (wakeMs !== null && wakeMs <= nowMs) throw new Error('wakes up at once, for ever')
}

function checkLaunch({ desired, deleted, hold, strays, attempt }: Experiment): void {
  if (desired.state !== 'RUNNING' || deleted || hold || strays.length > 0)
    throw new Error('launches although it must not')
  const phase = attempt?.progress.phase
  if (phase === 'requested' || phase === 'active') throw new Error(`launches beside what is ${phase}`)
}

function checkCancel(state: Experiment, jobId: number): void {
  const progress = liveAttempt(state)?.progress
  const isOurs = progress?.phase === 'active' && progress.jobId === jobId && progress.verdict === null
  if (!isOurs && !state.strays.some((job) => job.jobId === jobId))
    throw new Error(`cancels job ${jobId}, which is not ours`)
}

const visited = new Map<string, number>()
const phaseOf = (state: Experiment): string => state.attempt?.progress.phase ?? 'none'

function take(state: Experiment, step: Step, nowMs: number): Experiment {
  if ('waitMs' in step) return retold(state, nowMs)
  if ('wish' in step) {
    const [next, receipt] = accept(state, step.wish, nowMs)
    const grown = next.desired.generation - state.desired.generation
    if (grown < 0 || grown > 1 || (!receipt.accepted && grown !== 0))
      throw new Error(`generation grew by ${grown}`)
    return retold(next, nowMs)
  }
  const cell = `${phaseOf(state)}|${state.desired.state}|${step.fact.kind}`
  visited.set(cell, (visited.get(cell) ?? 0) + 1)
  return advance(state, [step.fact], nowMs)
}

function play(start: Experiment, steps: readonly Step[]): [Experiment, number] {
  let state = start
  let nowMs = T + 700_000
  for (const step of steps) {
    nowMs += 'waitMs' in step ? step.waitMs : 100
    const next = take(state, step, nowMs)
    if (next.revision < state.revision) throw new Error('the revision went back')
    checkDecision(next, nowMs)
    state = next
  }
  return [state, nowMs]
}

const CASES = 100_000
const parameters = { numRuns: CASES / 2, verbose: 0 } as const

test('P1, P2: from the beginning, no sequence of wishes, facts and time launches beside what may live, or ends what is not ours', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 12 }), (steps) => void play(fresh(), steps)),
    parameters,
  )
}, 240_000)

test('P1, P2: the same from states that nobody ever reached', () => {
  fc.assert(
    fc.property(anyState, fc.array(anyStep, { maxLength: 6 }), (state, steps) => void play(state, steps)),
    parameters,
  )
}, 240_000)

const KINDS: ReadonlyArray<Fact['kind']> = [
  'observed',
  'foreignSeen',
  'launchIntended',
  'launchRequested',
  'launchUnsure',
  'abortAsked',
  'launchRefused',
  'lookedEmpty',
  'lookedMaking',
  'jobFound',
  'cancelAsked',
  'vanished',
  'clusterAsked',
  'clusterRefused',
  'autostopAsked',
  'clusterSeen',
  'clusterAbsent',
  'clusterBusy',
  'concluded',
  'told',
  'actionFailed',
  'projected',
]

test('the sequences above visit at least 95 % of (phase, desired state, fact), and every row of launch and cancel', () => {
  const missing: string[] = []
  const rows: string[] = []
  for (const kind of KINDS) {
    const counts = ['none', 'intended', 'requested', 'active', 'ended'].map((phase) => {
      const cells = ['RUNNING', 'STOPPED', 'TERMINATED'].map((desired) => `${phase}|${desired}|${kind}`)
      missing.push(...cells.filter((cell) => !visited.has(cell)))
      return cells.reduce((sum, cell) => sum + (visited.get(cell) ?? 0), 0)
    })
    rows.push(`${kind.padEnd(16)}${counts.map((count) => String(count).padStart(9)).join('')}`)
  }
  process.stdout.write(`fact                 none intended requested   active    ended\n${rows.join('\n')}\n`)
  expect(missing.filter((cell) => /launch|abort|cancel|jobFound|looked/.test(cell))).toEqual([])
  expect(missing.length / (KINDS.length * 15)).toBeLessThanOrEqual(0.05)
})

/** RUNNING is wanted, and the run that is to bring it about neither has ended nor is about to. */
function isGoingOn({ desired, deleted, closing, attempt, run }: Experiment): boolean {
  if (desired.state !== 'RUNNING' || deleted || closing) return false
  if (attempt?.run !== run || attempt.progress.phase !== 'active')
    return attempt?.progress.phase !== 'ended' || attempt.run !== run
  return attempt.progress.verdict === null && attempt.progress.job.status !== 'CANCELLING'
}

function settles(start: Experiment, wanted: string, startMs: number): void {
  const released = wish({ ...start, deleted: false }, 'release', {}, startMs)
  const world = new FairWorld(retold(want(released, wanted, startMs), startMs), startMs)
  for (let round = 0; round < 120; round += 1) world.round()
  const { state } = world
  const phase = state.attempt?.progress.phase
  const told = `${wanted}: ${explain(state, world.nowMs).why} (${JSON.stringify(state.attempt?.progress)} ${JSON.stringify(state.cluster)})`
  expect(state.strays, told).toEqual([])
  if (wanted === 'RUNNING') {
    if (!isGoingOn(start)) expect(state.run, told).toBeGreaterThan(start.run)
    if (!state.closing && state.desired.state === 'RUNNING')
      expect(['active', 'ended'], told).toContain(phase)
    return
  }
  expect([undefined, 'ended'], told).toContain(phase)
  expect(world.liveJobs, told).toEqual([])
  if (wanted === 'TERMINATED') expect(state.cluster, told).toBeNull()
  else
    expect(
      [undefined, 'STOPPED', ...(state.cluster?.refused?.verb === 'stop' ? ['UP'] : [])],
      told,
    ).toContain(state.cluster?.status)
}

const anyWanted = fc.constantFrom('RUNNING', 'STOPPED', 'TERMINATED')

test('P3: from any reached state a constant wish is reached in a fair world, within a bounded number of steps', () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 15 }), anyWanted, (steps, wanted) =>
      settles(...playedFor(steps, wanted)),
    ),
    { numRuns: 1_500 },
  )
}, 240_000)

function playedFor(steps: readonly Step[], wanted: string): [Experiment, string, number] {
  const [state, nowMs] = play(fresh(), steps)
  return [state, wanted, nowMs]
}

test('P3: the same from any state at all, of either executor', () => {
  fc.assert(
    fc.property(anyState, anyWanted, (state, wanted) => settles(state, wanted, T + 700_000)),
    { numRuns: 1_500 },
  )
}, 240_000)

test('P4: the same look taken twice changes nothing the second time that anybody acts on', () => {
  fc.assert(
    fc.property(
      anyState,
      anyFact.filter(({ kind }) => kind === 'observed' || kind === 'vanished' || kind === 'clusterSeen'),
      (state, fact) => {
        const once = evolve(state, fact)
        const twice = evolve(once, fact)
        const { revision: _, ...before } = decide(once, T + 700_000) as unknown as Record<string, unknown>
        const { revision: __, ...again } = decide(twice, T + 700_000) as unknown as Record<string, unknown>
        expect(again).toEqual(before)
        expect(twice.events).toEqual(once.events)
      },
    ),
    { numRuns: 5_000 },
  )
}, 120_000)

test('P5: a look that is older than what was seen changes nothing about the job', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('PENDING', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'),
      fc.integer({ min: 1, max: 100_000 }),
      (status, olderMs) => {
        const running = after(
          want(fresh(), 'RUNNING'),
          intended,
          requested,
          found(),
          seen(7, 'RUNNING', { seenAtMs: T + 200_000 }),
        )
        const old = T + 200_000 - olderMs
        expect(evolve(running, seen(7, status, { seenAtMs: old, scheduleState: 'DONE' }))).toEqual(running)
        expect(evolve(running, { kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: old })).toEqual(
          running,
        )
      },
    ),
    { numRuns: 2_000 },
  )
})

test('P6: the state is the same after JSON, as continue-as-new carries it, and its snapshot can always be made', () => {
  fc.assert(
    fc.property(anyState, fc.array(anyStep, { maxLength: 8 }), (start, steps) => {
      const [state, nowMs] = play(start, steps)
      expect(JSON.parse(JSON.stringify(state))).toEqual(state)
      expect(HEADLINE_WORDS).toContain(snapshotOf(state, nowMs).headline)
    }),
    { numRuns: 3_000 },
  )
}, 120_000)

test('P6: after ten thousand attempts the state still fits into 64 KiB', () => {
  let state = want(fresh('managed', policyWith({}, { when: 'always', maxRestarts: 10_000 })), 'RUNNING')
  for (let attempt = 1; attempt <= 10_000; attempt += 1) {
    state = after(state, intended, requested, found(attempt))
    const jobName = `exp-1.1.${attempt}`
    state = after(state, seen(attempt, 'FAILED', { jobName, scheduleState: 'DONE', seenAtMs: T + attempt }))
    if (attempt % 5 === 0)
      state = after(state, { kind: 'projected', revision: state.revision, lastSeq: state.nextSeq - 1 })
  }
  expect(state.attempt).toMatchObject({ run: 1, attempt: 10_000 })
  expect(JSON.stringify(state).length).toBeLessThan(65_536)
})

test('wishes are answered whatever they hold, and what is refused changes only the count of bad messages', () => {
  fc.assert(
    fc.property(anyState, anyWish, (state, given) => {
      const [next, receipt] = accept(state, given, T)
      if (receipt.accepted) return
      expect(next).toEqual({ ...state, badMessages: state.badMessages + 1, lastRefusal: receipt.reason })
    }),
    { numRuns: 5_000 },
  )
})

test('row 41: an experiment that has ended well tells so in each of its snapshots', () => {
  expect(snapshotOf(retold(ended('SUCCEEDED'), T), T)).toMatchObject({ headline: 'succeeded', exitCode: 0 })
})
