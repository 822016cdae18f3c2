import { expect, test } from 'vitest'
import { CANCEL_REPEAT_MS } from '../../core/action.ts'
import { advance } from '../../core/advance.ts'
import { decide } from '../../core/decide.ts'
import { explain, wakeAtMs } from '../../core/explain.ts'
import type { Fact } from '../../core/facts.ts'
import { FENCED_EXIT_CODE } from '../../core/fence.ts'
import { whyOverLimit } from '../../core/limits.ts'
import {
  after,
  ended,
  foreign,
  found,
  fresh,
  intended,
  launched,
  onCluster,
  policyWith,
  requested,
  seen,
  T,
  want,
  wish,
} from '../support/experiments.ts'

const stray = (jobId: number, jobName = 'exp-1.1.1') => ({ jobId, jobName, clusterName: null })

test('row 26: a healthy job is left alone, and one with an unknown status too', () => {
  expect(decide(after(launched(), seen(7, 'RUNNING')), T)).toMatchObject({
    kind: 'wait',
    untilMs: null,
    why: 'running',
  })
  expect(decide(after(launched(), seen(7, 'FROBNICATING')), T)).toMatchObject({
    kind: 'wait',
    why: 'SkyPilot says FROBNICATING',
  })
})

test('row 51: a cancel without effect is repeated, for ever but not at once, and nothing is launched meanwhile', () => {
  const asked = after(want(launched(), 'STOPPED'), { kind: 'cancelAsked', job: stray(7), atMs: T })
  expect(decide(asked, T)).toMatchObject({ kind: 'wait', untilMs: T + CANCEL_REPEAT_MS })
  expect(decide(asked, T + CANCEL_REPEAT_MS)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
  expect(decide(want(asked, 'RUNNING'), T + 1e9)).toMatchObject({ kind: 'cancel' })
  expect(explain(asked, T + 1e9)).toMatchObject({ headline: 'overdue' })
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

test('a job that has its verdict waits for its clean-up, and no limit ends it meanwhile', () => {
  const cleaning = after(launched('managed', policyWith({ maxAgeMs: 1_000 })), seen(7, 'SUCCEEDED'))
  expect(decide(cleaning, T + 5_000)).toMatchObject({
    kind: 'wait',
    why: 'finished with exit code 0; SkyPilot is cleaning up',
  })
  expect(whyOverLimit(cleaning, T + 5_000)).toBeUndefined()
})

test('what a limit ended is told as the limit from the first look on', () => {
  const limited = after(launched('managed', policyWith({ maxAgeMs: 1_000 })), {
    kind: 'concluded',
    conclusion: 'limit',
    reason: 'too old',
    atMs: T,
  })
  const cancelled = after(limited, seen(7, 'CANCELLED'))
  expect(cancelled.attempt?.progress).toMatchObject({
    phase: 'active',
    verdict: { status: 'LIMIT', outcome: 'failed' },
  })
  expect(after(cancelled, seen(7, 'CANCELLED', { scheduleState: 'DONE' })).attempt?.progress).toMatchObject({
    verdict: { status: 'LIMIT' },
  })
})

test('late news fill in what was not known and change nothing that was', () => {
  const state = after(
    ended('FAILED'),
    seen(7, 'FAILED', {
      failureReason: 'Job exited with exit code 4',
      endedAtMs: T + 5,
      recoveries: 2,
      seenAtMs: T + 9,
    }),
  )
  expect(state.attempt?.progress).toMatchObject({
    verdict: { status: 'FAILED', exitCode: 4 },
    job: { endedAtMs: T + 5, recoveries: 2 },
  })
  expect(after(state, seen(7, 'SUCCEEDED', { seenAtMs: T + 99 })).attempt?.progress).toMatchObject({
    verdict: { status: 'FAILED' },
  })
})

test('an ended job seen alive by an old look stays ended', () => {
  expect(after(ended('SUCCEEDED'), seen(7, 'RUNNING')).attempt?.progress.phase).toBe('ended')
})

test('row 45: a look that began before the launch was known to have made a job still counts', () => {
  const told = after(want(fresh(), 'RUNNING'), intended, requested, found(7, T + 500), seen(7, 'RUNNING'))
  expect(told.attempt?.progress).toMatchObject({ phase: 'active', job: { status: 'RUNNING', seenAtMs: T } })
})

test('row 25: a job that vanished is lost, not failed, and is not launched again by itself', () => {
  const lost = after(launched('managed', policyWith({}, { when: 'on-failure' })), {
    kind: 'vanished',
    jobId: 7,
    jobName: 'exp-1.1.1',
    atMs: T + 1,
  })
  expect(lost.attempt?.progress).toMatchObject({
    phase: 'ended',
    verdict: { outcome: 'lost', status: 'GONE' },
  })
  expect(decide(lost, T + 1e9)).toMatchObject({ kind: 'wait' })
})

test('row 24: that a job vanished is not believed of a look that is older than one that showed it', () => {
  const state = after(launched(), seen(7, 'RUNNING', { seenAtMs: T + 10 }))
  expect(after(state, { kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: T + 9 })).toEqual(state)
})

test('a lost job that is seen alive again is the attempt again, and is stopped when it is not wanted', () => {
  const lost = after(launched(), { kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: T + 1 })
  const back = after(want(lost, 'STOPPED'), seen(7, 'RUNNING', { seenAtMs: T + 2 }))
  expect(back.attempt).toMatchObject({
    run: 1,
    attempt: 1,
    progress: { phase: 'active', jobId: 7, verdict: null },
  })
  expect(decide(back, T)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
})

test('row 52: preemption and recovery are no end', () => {
  const state = after(
    launched(),
    seen(7, 'RUNNING'),
    seen(7, 'RECOVERING', { seenAtMs: T + 1, recoveries: 1 }),
  )
  expect(decide(state, T)).toMatchObject({ kind: 'wait', why: 'recovering: its machine was lost' })
})

test('of two live jobs of one attempt the older is kept, whichever was known first', () => {
  expect(decide(after(launched(), seen(9, 'RUNNING')), T)).toMatchObject({
    kind: 'cancel',
    job: { jobId: 9 },
  })
  expect(decide(after(launched(), seen(3, 'RUNNING')), T)).toMatchObject({
    kind: 'cancel',
    job: { jobId: 7 },
  })
})

test('beside a job that has its verdict every other of the attempt is one too many, the older too', () => {
  const two = after(launched(), seen(7, 'SUCCEEDED'), seen(3, 'RUNNING'))
  expect(two).toMatchObject({ attempt: { progress: { jobId: 7 } }, strays: [{ jobId: 3 }] })
})

test('row 14: a second job stays in the books until its end is seen, and nothing is launched beside it', () => {
  const two = after(ended('FAILED'), seen(5, 'RUNNING', { jobName: 'exp-1.1.1', seenAtMs: T + 2_000 }))
  expect(two.strays).toMatchObject([{ jobId: 5 }])
  const asked = after(want(two, 'RUNNING'), { kind: 'cancelAsked', job: stray(5), atMs: T })
  expect(decide(asked, T)).toMatchObject({
    kind: 'wait',
    untilMs: T + CANCEL_REPEAT_MS,
    why: 'waiting for the end of a second job',
  })
  expect(decide(asked, T + CANCEL_REPEAT_MS)).toMatchObject({ kind: 'cancel', job: { jobId: 5 } })
  expect(decide(after(asked, seen(5, 'CANCELLED', { seenAtMs: T + 3_000 })), T)).toMatchObject({
    kind: 'launch',
  })
})

test('a second job stays in the books until a look shows its end, however often it was asked and refused', () => {
  const two = after(launched(), seen(9, 'RUNNING'))
  const refused = {
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.rejected',
    reason: 'no way to the machines',
    job: stray(9),
    atMs: T,
  } as const
  const patient = after(
    two,
    ...Array.from({ length: 100 }, () => refused),
    ...Array.from({ length: 100 }, () => ({ kind: 'cancelAsked', job: stray(9), atMs: T }) as const),
  )
  expect(patient.strays).toMatchObject([{ jobId: 9 }])
  expect(after(patient, seen(9, 'CANCELLED', { seenAtMs: T + 1 })).strays).toEqual([])
})

test('a person who looked says that a second job is gone, and it is out of the books', () => {
  const two = after(
    launched(),
    seen(9, 'RUNNING'),
    seen(7, 'SUCCEEDED', { scheduleState: 'DONE', seenAtMs: T + 1 }),
  )
  expect(two).toMatchObject({ attempt: { progress: { phase: 'ended' } }, strays: [{ jobId: 9 }] })
  const said = wish(two, 'confirmGone', { reason: 'no process on any machine' })
  expect(said.strays).toEqual([])
  expect(said.attempt?.progress).toMatchObject({ verdict: { outcome: 'succeeded' } })
})

test('a cancel of a second job that fails holds up nothing else', () => {
  const two = after(
    want(fresh(), 'RUNNING'),
    intended,
    requested,
    seen(9, 'RUNNING', { jobName: 'exp-1.1.9' }),
  )
  const failed = after(two, {
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.rejected',
    reason: 'not up',
    job: { jobId: 9, jobName: 'exp-1.1.9', clusterName: null },
    atMs: T,
  })
  expect(decide(failed, T + 5_000)).toMatchObject({ kind: 'follow' })
})

test('a second job is asked for again also while a launch is followed', () => {
  const other = seen(9, 'RUNNING', { jobName: 'exp-1.1.9' })
  const two = after(want(fresh(), 'RUNNING'), intended, requested, other)
  const askedOnce = after(two, {
    kind: 'cancelAsked',
    job: stray(9, 'exp-1.1.9'),
    isOver: false,
    atMs: T + 5_000,
  })
  const following = decide(askedOnce, T + 6_000)
  expect(following).toMatchObject({ kind: 'follow' })
  expect(wakeAtMs(askedOnce, following, T + 6_000)).toBe(T + 5_000 + CANCEL_REPEAT_MS)
  expect(decide(askedOnce, T + 5_000 + CANCEL_REPEAT_MS)).toMatchObject({ kind: 'cancel', job: { jobId: 9 } })
})

test('a cancel that fails is counted for the job that was to end, and for no other', () => {
  const two = want(after(launched(), seen(7, 'RUNNING'), seen(9, 'RUNNING')), 'STOPPED')
  const failed = after(two, {
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.rejected',
    reason: 'no',
    job: { jobId: 7, jobName: 'exp-1.1.1', clusterName: null },
    atMs: T,
  })
  expect(failed.strays).toEqual(two.strays)
})

test('a second job that cannot be cancelled holds up neither the limits nor the wishes for the first', () => {
  const limited = launched('managed', policyWith({ maxRunMs: 1_000 }))
  const two = after(limited, seen(7, 'RUNNING'), seen(9, 'RUNNING'))
  const failed = after(two, {
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.protocol',
    reason: 'no',
    job: stray(9),
    atMs: T + 2_000,
  })
  expect(failed.trouble).toMatchObject({ failures: 1, reason: 'no' })
  expect(decide(failed, T + 2_001)).toMatchObject({ kind: 'conclude', conclusion: 'limit' })
  expect(decide(want(failed, 'STOPPED'), T + 2_001)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
  expect(decide(want(failed, 'STOPPED'), T + 2_000 + CANCEL_REPEAT_MS)).toMatchObject({
    kind: 'cancel',
    job: { jobId: 9 },
  })
})

test('a second job on a cluster that is missing from its queue is over', () => {
  const other = { jobName: 'exp-1.1.1', clusterName: 'exp-1', scheduleState: null, seenAtMs: T + 2 }
  const two = after(onCluster(), seen(9, 'RUNNING', other))
  expect(two.strays).toMatchObject([{ jobId: 9, clusterName: 'exp-1' }])
  const missing = { kind: 'vanished', jobId: 9, jobName: 'exp-1.1.1', atMs: T + 9 } as const
  expect(after(two, missing).strays).toHaveLength(1)
  expect(after(two, { ...missing, clusterName: 'exp-1' }).strays).toEqual([])
})

test('an attempt that is past is never taken up again: its live job is one too many', () => {
  const second = after(want(ended('FAILED'), 'RUNNING'), intended, {
    kind: 'launchRefused',
    reason: 'no',
    exceptionName: null,
    atMs: T,
  })
  expect(second.attempt).toMatchObject({ run: 2, attempt: 1 })
  const seenOld = after(second, seen(7, 'RUNNING', { seenAtMs: T + 5_000 }))
  expect(seenOld).toMatchObject({ attempt: { run: 2, attempt: 1 }, strays: [{ jobId: 7 }] })
})

test('a job that left at the fence is no verdict on the code, is not followed by another, and gives way to the one that runs', () => {
  const fenced = after(
    launched('managed', policyWith({}, { when: 'always' })),
    seen(7, 'FAILED', {
      scheduleState: 'DONE',
      failureReason: 'Job exited with exit code 86 (user program failure)',
    }),
  )
  expect(fenced.attempt?.progress).toMatchObject({ verdict: { status: 'FENCED', blame: 'infrastructure' } })
  expect(decide(fenced, T + 1e9)).toMatchObject({ kind: 'wait' })
  expect(after(fenced, seen(8, 'RUNNING', { seenAtMs: T + 5 })).attempt?.progress).toMatchObject({
    phase: 'active',
    jobId: 8,
  })
})

test('where no job asks at the fence, its exit code is one like any other', () => {
  const unfenced = after(
    want(fresh(), 'RUNNING'),
    intended,
    { kind: 'launchRequested', requestId: 'r', isFenced: false, atMs: T },
    found(),
    seen(7, 'FAILED', {
      scheduleState: 'DONE',
      failureReason: 'Job exited with exit code 86 (user program failure)',
    }),
  )
  expect(unfenced.attempt?.progress).toMatchObject({
    verdict: { status: 'FAILED', blame: 'code', exitCode: 86 },
  })
})

test('row 19: the end of a foreign job that was adopted does not make it a second attempt', () => {
  const adopted = after(
    want(fresh(), 'RUNNING'),
    foreign(5, 'RUNNING'),
    foreign(5, 'SUCCEEDED', { scheduleState: 'DONE', seenAtMs: T + 5 }),
  )
  expect(adopted.attempt?.progress.phase).toBe('ended')
  expect(after(adopted, foreign(5, 'RUNNING', { seenAtMs: T + 1 }))).toEqual(adopted)
})

test('trouble is forgotten when nothing is left to be tried again', () => {
  const troubled = after(want(launched(), 'STOPPED'), {
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.unreachable',
    reason: 'away',
    atMs: T,
  })
  expect(advance(troubled, [], T)).toMatchObject({ told: { headline: 'skypilot-unreachable' } })
  const over = advance(troubled, [{ kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: T + 9 }], T + 9)
  expect(over).toMatchObject({ trouble: null, told: { headline: 'lost' } })
})

test('what is past wakes nobody: a limit that passed during trouble has its turn when the trouble is over', () => {
  const troubled = after(launched('managed', policyWith({ maxAgeMs: 10 })), {
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.unreachable',
    reason: 'away',
    atMs: T,
  })
  const action = decide(troubled, T + 20)
  expect(wakeAtMs(troubled, action, T + 20)).toBe(T + 2_000)
})

test('hold keeps hands off whatever is wanted, and a deletion is not held', () => {
  const held = want(wish(launched(), 'hold', { actor: 'bob', reason: 'debugging' }), 'STOPPED')
  expect(decide(held, T)).toMatchObject({ kind: 'wait', why: 'hands off: held by bob: debugging' })
  expect(decide(wish(held, 'release'), T)).toMatchObject({ kind: 'cancel' })
  expect(decide(wish(held, 'delete'), T)).toMatchObject({ kind: 'cancel' })
  expect(decide(after(onCluster(), seen(7, 'RUNNING', { clusterName: 'exp-1' })), T)).toMatchObject({
    kind: 'wait',
  })
})

test('a job of another desk whose experiment has the same number is told of, and never touched', () => {
  const theirs = seen(9, 'RUNNING', { jobName: 'colleague-1.3.1' })
  const beside = after(launched(), theirs)
  expect(beside).toMatchObject({ strays: [], foreign: [{ jobId: 9, jobName: 'colleague-1.3.1' }] })
  expect(after(fresh(), theirs)).toMatchObject({ attempt: null, foreign: [{ jobId: 9 }] })
  expect(after(beside, seen(9, 'CANCELLED', { jobName: 'colleague-1.3.1' })).foreign).toEqual([])
})

test('a job under a former name is still ours', () => {
  const renamed = wish(launched(), 'edit', { name: 'other', spec: {} })
  expect(after(renamed, seen(9, 'RUNNING')).strays).toMatchObject([{ jobId: 9 }])
})

test('a second job that was looked at and still lives is never given up, and one that is over is at once', () => {
  const two = after(launched(), seen(9, 'RUNNING'))
  const asked = (isOver: boolean) => ({ kind: 'cancelAsked', job: stray(9), isOver, atMs: T }) as const
  const patient = after(two, ...Array.from({ length: 60 }, () => asked(false)))
  expect(patient.strays).toMatchObject([{ jobId: 9 }])
  expect(after(patient, asked(true)).strays).toEqual([])
})

test('row 47: of two jobs of one attempt the one that runs is kept, also where it is the younger', () => {
  const waiting = after(launched(), seen(7, 'PENDING'))
  const two = after(waiting, seen(8, 'RUNNING', { seenAtMs: T + 1 }))
  expect(two).toMatchObject({ attempt: { progress: { jobId: 8 } }, strays: [{ jobId: 7 }] })
  expect(decide(two, T + 2)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
})

test('row 47: of two jobs that both run behind the fence none is cancelled until one had time to leave, and the other is kept', () => {
  const sent = after(want(fresh(), 'RUNNING'), intended, { ...requested, isFenced: true } as Fact, found())
  const two = after(sent, seen(7, 'RUNNING'), seen(8, 'RUNNING', { seenAtMs: T + 1 }))
  expect(decide(two, T + 2).kind).toBe('wait')
  expect(decide(two, T + 1 + CANCEL_REPEAT_MS)).toMatchObject({ kind: 'cancel', job: { jobId: 8 } })
  const failureReason = `Job exited with exit code ${FENCED_EXIT_CODE}`
  const left = after(two, seen(7, 'FAILED', { failureReason, scheduleState: 'DONE', seenAtMs: T + 5 }))
  expect(left).toMatchObject({
    attempt: { progress: { phase: 'active', jobId: 8, verdict: null } },
    strays: [],
  })
  // Without a fence both would go on.
  const open = after(launched(), seen(7, 'RUNNING'), seen(8, 'RUNNING', { seenAtMs: T + 1 }))
  expect(decide(open, T + 2)).toMatchObject({ kind: 'cancel', job: { jobId: 8 } })
})
