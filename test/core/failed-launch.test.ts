import { describe, expect, test } from 'vitest'
import {
  isOutdated,
  LOOK_AGAIN_MS,
  MAKING_MAX_MS,
  SETTLE_MS,
  UNSEEN_LOOK_MS,
  UNSEEN_MS,
} from '../../core/action.ts'
import { decide } from '../../core/decide.ts'
import type { Experiment } from '../../core/experiment.ts'
import { explain } from '../../core/explain.ts'
import type { Fact } from '../../core/facts.ts'
import {
  after,
  clusterSeen,
  found,
  intended,
  onCluster,
  policyWith,
  requested,
  seen,
  T,
  want,
} from '../support/experiments.ts'

// A launch that SkyPilot calls failed, where its cluster cannot be asked whether the job came to it before that.

const refusal = { reason: 'the disk is full', exceptionName: 'CommandError' }
const failing: Fact = { kind: 'launchUnsure', reason: refusal.reason, refusal, atMs: T }
const empty = (atMs: number): Fact => ({ kind: 'lookedEmpty', atMs })
const making = (atMs: number): Fact => ({ kind: 'lookedMaking', atMs })
/** Looks that show nothing, one a minute. */
const minutely = (fromMs: number, forMs: number): Fact[] =>
  Array.from({ length: forMs / 60_000 }, (_, index) => making(fromMs + (index + 1) * 60_000))
const stopRefused = (atMs: number): Fact => ({
  kind: 'clusterRefused',
  verb: 'stop',
  name: 'exp-1',
  reason: 'cannot',
  atMs,
})
const stopAsked = (atMs: number): Fact => ({ kind: 'clusterAsked', verb: 'stop', name: 'exp-1', atMs })

/** The second run on a cluster that was up for the first. */
const before = after(onCluster(), seen(7, 'SUCCEEDED', { clusterName: 'exp-1', seenAtMs: T + 5 }))
const failed = after(
  want(before, 'RUNNING'),
  intended,
  requested,
  clusterSeen('INIT', { seenAtMs: T + 6 }),
  failing,
)

test('it is looked for, and says what SkyPilot says', () => {
  expect(decide(failed, T)).toMatchObject({ kind: 'look' })
  const waiting = after(failed, making(T))
  expect(decide(waiting, T)).toMatchObject({ kind: 'wait', untilMs: T + LOOK_AGAIN_MS })
  expect(explain(waiting, T)).toMatchObject({
    headline: 'launch-unsure',
    why: expect.stringContaining('SkyPilot calls the launch failed') as string,
    evidence: expect.arrayContaining(['the disk is full']) as string[],
  })
  expect(decide(waiting, T + LOOK_AGAIN_MS)).toMatchObject({ kind: 'look' })
})

test('it has launched when the job is found', () => {
  expect(after(failed, found(7)).attempt?.progress).toMatchObject({ phase: 'active', jobId: 7 })
})

/** Goes on until the attempt is over, with what each look and each stop of the cluster brings. */
function played(start: Experiment, looks: (state: Experiment) => Fact['kind'], stops: boolean) {
  let state = start
  let nowMs = T
  const done: string[] = []
  while (state.attempt?.progress.phase === 'intended' && nowMs < T + 4 * MAKING_MAX_MS) {
    const action = decide(state, nowMs)
    if (done.at(-1) !== action.kind) done.push(action.kind)
    if (action.kind === 'look')
      state = after(state, looks(state) === 'lookedEmpty' ? empty(nowMs) : making(nowMs))
    if (action.kind === 'cluster' && action.verb === 'stop') {
      state = stops
        ? after(state, stopAsked(nowMs), clusterSeen('STOPPED', { seenAtMs: nowMs + 1 }))
        : after(state, stopRefused(nowMs))
    }
    nowMs = action.kind === 'wait' ? (action.untilMs ?? Infinity) : nowMs + 1
  }
  return { state, nowMs, done }
}

const REFUSED = {
  phase: 'ended',
  verdict: { status: 'REFUSED', blame: 'infrastructure', reason: 'the disk is full' },
}

test('where two looks show that nothing came of it, it ends with what SkyPilot said', () => {
  const { state, done } = played(failed, () => 'lookedEmpty', true)
  expect(state.attempt?.progress).toMatchObject(REFUSED)
  expect(done).not.toContain('launch')
  expect(done).not.toContain('cluster')
})

test('where nobody can look for long its machines are stopped, and only then it is over; it is never launched again', () => {
  const unseen = (state: Experiment) => (state.cluster?.status === 'STOPPED' ? 'lookedEmpty' : 'lookedMaking')
  const { state, nowMs, done } = played(failed, unseen, true)
  expect(state.attempt?.progress).toMatchObject(REFUSED)
  expect(nowMs).toBeGreaterThanOrEqual(T + MAKING_MAX_MS)
  expect(done).toContain('cluster')
  expect(done).not.toContain('launch')
  expect(decide(state, nowMs).kind).not.toBe('launch')
})

test('where its machines cannot be stopped it stays open, is looked at seldom, and is told as overdue', () => {
  const { state, nowMs, done } = played(failed, () => 'lookedMaking', false)
  expect(state.attempt?.progress.phase).toBe('intended')
  expect(done).not.toContain('launch')
  expect(explain(state, nowMs)).toMatchObject({ headline: 'overdue' })
  const late = T + 4 * MAKING_MAX_MS
  expect(decide(after(state, making(late)), late)).toMatchObject({
    kind: 'wait',
    untilMs: late + UNSEEN_LOOK_MS,
  })
})

test('that it cannot be stopped for a newer run is told as overdue within the hour', () => {
  const newer = want(want(failed, 'STOPPED'), 'RUNNING')
  let state = newer
  let nowMs = T
  while (nowMs < T + 50 * 60_000) {
    const action = decide(state, nowMs)
    if (action.kind === 'look') state = after(state, making(nowMs))
    if (action.kind === 'cluster' && action.verb === 'stop') state = after(state, stopRefused(nowMs))
    nowMs = action.kind === 'wait' ? (action.untilMs ?? Infinity) : nowMs + 1
  }
  expect(nowMs).toBeLessThan(T + 60 * 60_000)
  expect(explain(state, nowMs)).toMatchObject({ headline: 'overdue' })
})

test('machines are stopped unseen only right after a look that showed nothing', () => {
  const waiting = after(failed, making(T), ...minutely(T, MAKING_MAX_MS))
  expect(decide(waiting, T + MAKING_MAX_MS)).toMatchObject({ kind: 'cluster', verb: 'stop' })
  expect(decide(waiting, T + MAKING_MAX_MS + UNSEEN_MS)).toMatchObject({ kind: 'look' })
  const back = after(waiting, empty(T + MAKING_MAX_MS + 1))
  expect(decide(back, T + MAKING_MAX_MS + 5_000).kind).not.toBe('cluster')
})

test('time in which nobody could look does not count', () => {
  const away = 20 * 60_000
  const back = after(failed, making(T), making(T + away))
  expect(decide(back, T + away)).toMatchObject({ kind: 'wait', untilMs: T + away + LOOK_AGAIN_MS })
  const seenEnough = after(back, ...minutely(T + away, MAKING_MAX_MS))
  expect(decide(seenEnough, T + away + MAKING_MAX_MS)).toMatchObject({ kind: 'cluster', verb: 'stop' })
})

test('a stop that fails is tried again with pauses that grow', () => {
  let state = after(failed, making(T), ...minutely(T, MAKING_MAX_MS))
  let nowMs = T + MAKING_MAX_MS
  let stops = 0
  const endMs = nowMs + 10 * 60_000
  while (nowMs < endMs) {
    const action = decide(state, nowMs)
    if (action.kind === 'look') state = after(state, making(nowMs))
    if (action.kind === 'cluster') {
      stops += 1
      const about = { action: 'cluster', errorKind: 'SkyPilot.rejected', reason: 'no', atMs: nowMs }
      state = after(state, { kind: 'actionFailed', ...about })
    }
    nowMs = action.kind === 'wait' ? (action.untilMs ?? Infinity) : nowMs + 1
  }
  expect(stops).toBeGreaterThan(5)
  expect(stops).toBeLessThan(20)
})

test('actions that fail in turn are tried with pauses that grow', () => {
  const away = (action: string, atMs: number): Fact => ({
    kind: 'actionFailed',
    action,
    errorKind: 'SkyPilot.unreachable',
    reason: 'away',
    atMs,
  })
  let state = want(failed, 'STOPPED')
  let nowMs = T
  let done = 0
  while (nowMs < T + 3_600_000) {
    const action = decide(state, nowMs)
    if (action.kind !== 'wait') {
      done += 1
      state = after(state, away(action.kind, nowMs))
    }
    nowMs = action.kind === 'wait' ? (action.untilMs ?? Infinity) : nowMs + 1
  }
  expect(done).toBeLessThan(80)
})

test('where the machines cannot be stopped, looks go on also after some that failed', () => {
  const stopping = after(want(failed, 'STOPPED'), making(T + 10))
  const away = { action: 'look', errorKind: 'SkyPilot.unreachable', reason: 'away' }
  const blind = after(
    after(stopping, stopRefused(T + 20)),
    { kind: 'actionFailed', ...away, atMs: T + 20_000 },
    { kind: 'actionFailed', ...away, atMs: T + 30_000 },
  )
  expect(decide(blind, T + 120_000)).toMatchObject({ kind: 'look' })
})

test('a job that shows itself while its machines are being stopped unseen fell to us, not to its owner', () => {
  const clearing = after(failed, making(T), ...minutely(T, MAKING_MAX_MS))
  const late = T + MAKING_MAX_MS
  const there = after(
    clearing,
    seen(9, 'RUNNING', {
      jobName: 'exp-1.2.1',
      clusterName: 'exp-1',
      scheduleState: null,
      seenAtMs: late + 1,
    }),
  )
  expect(there.attempt?.progress).toMatchObject({ phase: 'active', jobId: 9 })
  const stopped = after(there, stopAsked(late + 2), clusterSeen('STOPPED', { seenAtMs: late + 3 }))
  expect(stopped.attempt?.progress).toMatchObject({
    phase: 'ended',
    verdict: { outcome: 'failed', blame: 'infrastructure', status: 'STOPPED_UNSEEN' },
  })
  // Nor where the news of the stop comes after that of the machines.
  const early = after(there, clusterSeen('STOPPED', { seenAtMs: late + 3 }))
  expect(early.attempt?.progress).toMatchObject({ verdict: { status: 'STOPPED_UNSEEN' } })
  // A stop without effect is over once the cluster is seen up after it.
  const stayed = after(there, stopAsked(late + 2), clusterSeen('UP', { seenAtMs: late + 5_000 }))
  expect(explain(stayed, late + 3_600_000)).toMatchObject({ headline: 'running' })
  expect(
    after(stayed, clusterSeen('STOPPED', { seenAtMs: late + 3_600_000 })).attempt?.progress,
  ).toMatchObject({
    verdict: { status: 'CLUSTER_STOPPED' },
  })
  // One that is stopped by somebody later is not our doing.
  const spared = after(there, clusterSeen('STOPPED', { seenAtMs: late + 3_600_000 }))
  expect(spared.attempt?.progress).toMatchObject({ verdict: { status: 'CLUSTER_STOPPED' } })
})

test('what SkyPilot called failed stays so while another request of its name is followed', () => {
  const other: Fact = { kind: 'launchRequested', requestId: 'other', atMs: T + 1 }
  const lost: Fact = { kind: 'launchUnsure', reason: 'forgotten', isForgotten: true, atMs: T + 2 }
  expect(after(failed, other, lost).attempt?.progress).toMatchObject({ phase: 'intended', refusal })
  const refused: Fact = {
    kind: 'launchRefused',
    reason: 'no room',
    exceptionName: 'ResourcesUnavailableError',
    atMs: T + 2,
  }
  expect(after(failed, other, refused).attempt?.progress).toMatchObject({ phase: 'intended', refusal })
})

test('an older sighting of the job does not undo what was asked of its cluster', () => {
  const clearing = after(failed, making(T), ...minutely(T, MAKING_MAX_MS))
  const late = T + MAKING_MAX_MS
  const asked = after(clearing, stopAsked(late + 2_000))
  const older = { jobName: 'exp-1.2.1', clusterName: 'exp-1', scheduleState: null, seenAtMs: late + 1_000 }
  const shown = after(asked, seen(9, 'RUNNING', older), clusterSeen('STOPPED', { seenAtMs: late + 60_000 }))
  expect(shown.cluster).toMatchObject({ asked: { verb: 'stop' } })
  expect(shown.attempt?.progress).toMatchObject({ verdict: { status: 'STOPPED_UNSEEN' } })
})

test('a look is not cut short for a second job', () => {
  const look = decide(failed, T)
  if (look.kind !== 'look') throw new Error(look.kind)
  const job = { jobId: 9, jobName: 'exp-1.1.1', clusterName: 'exp-1' }
  expect(isOutdated(look, { kind: 'cancel', job, why: 'a second job' })).toBe(false)
})

describe('what is wanted next', () => {
  test('is followed by another only as the policy says', () => {
    const again = { ...failed, policy: policyWith({}, { when: 'on-failure', maxRestarts: 1 }) }
    const over = after(again, empty(T), empty(T + SETTLE_MS))
    expect(decide(over, T + SETTLE_MS)).toMatchObject({
      kind: 'wait',
      why: expect.stringContaining('restart 1') as string,
    })
  })

  test('a newer run does not begin beside it: what nobody can see is stopped first', () => {
    const newer = after(want(want(failed, 'STOPPED'), 'RUNNING'), making(T + 10))
    expect(newer.attempt?.progress.phase).toBe('intended')
    expect(decide(newer, T + 11)).toMatchObject({ kind: 'cluster', verb: 'stop' })
  })

  test('STOPPED does not wait for it: the machines are stopped, and only then it is over', () => {
    const stopping = after(want(failed, 'STOPPED'), making(T + 10))
    expect(decide(stopping, T + 10)).toMatchObject({ kind: 'cluster', verb: 'stop' })
    // What was not stopped may run: RUNNING begins nothing beside it.
    const again = want(after(stopping, stopRefused(T + 20)), 'RUNNING')
    expect(again.attempt?.progress.phase).toBe('intended')
    expect(decide(again, T + 30)).not.toMatchObject({ kind: 'launch' })
    const asleep = after(stopping, stopAsked(T + 20), clusterSeen('STOPPED', { seenAtMs: T + 21 }))
    const over = after(asleep, empty(T + 60_000), empty(T + 60_000 + SETTLE_MS))
    expect(over.attempt?.progress).toMatchObject(REFUSED)
  })

  test('TERMINATED takes the machines down', () => {
    const going = after(want(failed, 'TERMINATED'), making(T + 10))
    expect(decide(going, T + 10)).toMatchObject({ kind: 'cluster', verb: 'down' })
  })

  test('an adopted cluster may have jobs of others: it is stopped only where STOPPED is wanted', () => {
    const theirs = { ...failed, cluster: failed.cluster && { ...failed.cluster, isAdopted: true as const } }
    const late = after(theirs, making(T), ...minutely(T, MAKING_MAX_MS))
    expect(decide(late, T + MAKING_MAX_MS)).toMatchObject({ kind: 'wait' })
    const stopped = want(late, 'STOPPED', T + MAKING_MAX_MS)
    expect(decide(stopped, T + MAKING_MAX_MS)).toMatchObject({ kind: 'cluster', verb: 'stop' })
  })

  test('taken down by the way it ends with what SkyPilot said', () => {
    const gone = (seenAtMs: number): Fact => ({ kind: 'clusterAbsent', name: 'exp-1', seenAtMs })
    const half = { ...failed, cluster: failed.cluster && { ...failed.cluster, everUp: false } }
    const late = T + MAKING_MAX_MS
    const clearing = after(half, making(T), ...minutely(T, MAKING_MAX_MS))
    expect(decide(clearing, late)).toMatchObject({ kind: 'cluster', verb: 'down' })
    const asked: Fact = { kind: 'clusterAsked', verb: 'down', name: 'exp-1', atMs: late + 1 }
    const over = after(clearing, asked, gone(late + 6_000), gone(late + 12_000))
    expect(over).toMatchObject({ cluster: null, attempt: { progress: REFUSED } })
  })
})
