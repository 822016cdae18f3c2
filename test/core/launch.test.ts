import { expect, test } from 'vitest'
import {
  type Action,
  FORGOTTEN_SETTLE_MS,
  LOOK_AGAIN_MS,
  MAKING_MAX_MS,
  SETTLE_MS,
} from '../../core/action.ts'
import { decide } from '../../core/decide.ts'
import type { Experiment } from '../../core/experiment.ts'
import type { Fact } from '../../core/facts.ts'
import { submittedOf } from '../../core/submitted.ts'
import {
  after,
  clusterSeen,
  ended,
  foreign,
  found,
  fresh,
  intended,
  launched,
  policyWith,
  requested,
  seen,
  T,
  want,
  wish,
} from '../support/experiments.ts'

const wanted = want(fresh(), 'RUNNING')
const asked = after(wanted, intended, requested)
const unsure = after(asked, { kind: 'launchUnsure', reason: 'lost', atMs: T })
const stopped = want(unsure, 'STOPPED')

test.each<[string, Experiment, Partial<Action>]>([
  ['rests when nobody wished anything', fresh(), { kind: 'wait', why: 'never started' }],
  ['launches when RUNNING is wanted', wanted, { kind: 'launch', how: 'job' }],
  [
    'launches on a cluster of its own where that is the executor',
    want(fresh('cluster'), 'RUNNING'),
    { kind: 'launch', how: 'cluster' },
  ],
  [
    'row 12: follows a launch that SkyPilot took, however long it is queued there',
    asked,
    { kind: 'follow', requestId: 'r' },
  ],
  [
    'row 15: aborts a launch when STOPPED is wanted',
    want(asked, 'STOPPED'),
    { kind: 'abort', requestId: 'r' },
  ],
  ['row 15: looks, and does not launch, when stopped with a launch unsure', stopped, { kind: 'look' }],
  [
    'row 9: an unsure launch is asked for again under the same name; the activity looks before it asks',
    unsure,
    { kind: 'launch' },
  ],
  [
    'row 17: RUNNING again after an end is a new run',
    want(ended('SUCCEEDED'), 'RUNNING'),
    { kind: 'launch' },
  ],
  [
    'row 50: does not relaunch what failed, and says the exit code',
    ended('FAILED', 'Job exited with exit code 3 (user program failure).'),
    { kind: 'wait', why: 'your code failed with exit code 3' },
  ],
  [
    'does not relaunch what succeeded',
    ended('SUCCEEDED'),
    { kind: 'wait', why: 'finished with exit code 0' },
  ],
])('%s', (_, state, expected) => {
  expect(decide(state, T)).toMatchObject(expected)
})

test('row 47: a launch that SkyPilot forgot is looked for until the processes of a killed server had time to show theirs', () => {
  const forgotten = after(asked, { kind: 'launchUnsure', reason: 'forgot', isForgotten: true, atMs: T })
  expect(decide(forgotten, T)).toMatchObject({ kind: 'look' })
  expect(decide(forgotten, T + FORGOTTEN_SETTLE_MS - 1)).toMatchObject({ kind: 'look' })
  expect(decide(forgotten, T + FORGOTTEN_SETTLE_MS)).toMatchObject({ kind: 'launch' })
})

test('row 47: while its cluster is being made nothing is launched again, and not for ever', () => {
  const making: Fact = { kind: 'lookedMaking', atMs: T }
  const onCluster = after(want(fresh('cluster'), 'RUNNING'), intended, requested)
  const forgotten = after(onCluster, { kind: 'launchUnsure', reason: 'forgot', isForgotten: true, atMs: T })
  const waiting = after(forgotten, making, { ...making, atMs: T + 60_000 })
  expect(decide(waiting, T + 60_000)).toMatchObject({ kind: 'wait', untilMs: T + 70_000 })
  expect(decide(waiting, T + 89_999)).toMatchObject({ kind: 'look' })
  const late = after(waiting, { ...making, atMs: T + MAKING_MAX_MS })
  expect(decide(late, T + MAKING_MAX_MS + SETTLE_MS)).toMatchObject({ kind: 'launch', how: 'cluster' })
})

test('row 47: what is not wanted any more does not wait for the cluster in the making, which is taken down', () => {
  const making: Fact = { kind: 'lookedMaking', atMs: T }
  const onCluster = after(want(fresh('cluster'), 'RUNNING'), intended, requested)
  const aborted = after(onCluster, { kind: 'launchUnsure', reason: 'aborted', atMs: T })
  const gone = after(want(aborted, 'STOPPED'), making, { ...making, atMs: T + SETTLE_MS })
  expect(decide(gone, T + SETTLE_MS)).toMatchObject({ kind: 'cluster', verb: 'down' })
})

test('row 15: an abort without effect is asked for again, with a pause between', () => {
  const aborted = after(want(asked, 'STOPPED'), { kind: 'abortAsked', atMs: T })
  expect(decide(aborted, T)).toMatchObject({ kind: 'look' })
  const stillThere = after(aborted, { kind: 'launchRequested', requestId: 'r', atMs: T + 1 })
  expect(decide(stillThere, T + 1)).toMatchObject({ kind: 'wait', untilMs: T + LOOK_AGAIN_MS })
  expect(decide(stillThere, T + LOOK_AGAIN_MS)).toMatchObject({ kind: 'abort', requestId: 'r' })
  expect(decide(want(after(stillThere, found()), 'STOPPED'), T + 2)).toMatchObject({ kind: 'cancel' })
})

test('row 47: a newer run waits for the launch of the older one that was forgotten while its cluster is being made', () => {
  const making: Fact = { kind: 'lookedMaking', atMs: T }
  const launching = after(want(fresh('cluster'), 'RUNNING'), intended, requested)
  const forgotten = after(launching, { kind: 'launchUnsure', reason: 'forgot', isForgotten: true, atMs: T })
  const newer = after(want(want(forgotten, 'STOPPED'), 'RUNNING'), making, { ...making, atMs: T + 60_000 })
  expect(newer.attempt?.progress.phase).toBe('intended')
  expect(decide(newer, T + 90_000)).toMatchObject({ kind: 'look' })
  // One that SkyPilot did abort has left a cluster half made, and no doubt.
  const aborted = after(want(want(launching, 'STOPPED'), 'RUNNING'), { kind: 'abortAsked', atMs: T })
  const over = after(aborted, making, { ...making, atMs: T + SETTLE_MS })
  expect(over.attempt?.progress).toMatchObject({ phase: 'ended', verdict: { outcome: 'never-started' } })
})

test('row 47: an abort of a launch that SkyPilot does not know any more is no end of it', () => {
  const gone = after(want(asked, 'STOPPED'), { kind: 'abortAsked', isForgotten: true, atMs: T })
  const looked: Fact = { kind: 'lookedEmpty', atMs: T }
  const soon = after(gone, looked, { ...looked, atMs: T + LOOK_AGAIN_MS })
  expect(soon.attempt?.progress.phase).toBe('intended')
  const late = after(soon, { ...looked, atMs: T + FORGOTTEN_SETTLE_MS })
  expect(late.attempt?.progress).toMatchObject({ phase: 'ended' })
})

test('how long a cluster in the making is waited for does not begin anew with every try', () => {
  const making: Fact = { kind: 'lookedMaking', atMs: T }
  const lost: Fact = { kind: 'launchUnsure', reason: 'lost', atMs: T + 60_000 }
  const waiting = after(want(fresh('cluster'), 'RUNNING'), intended, { ...lost, atMs: T }, making, lost)
  expect(waiting.attempt?.progress).toMatchObject({ makingUntilMs: T + MAKING_MAX_MS })
})

test('row 10: an unwanted launch counts as never made only after two looks with a pause between', () => {
  const once = after(stopped, { kind: 'lookedEmpty', atMs: T })
  expect(decide(once, T)).toMatchObject({ kind: 'wait', untilMs: T + SETTLE_MS })
  const twice = after(once, { kind: 'lookedEmpty', atMs: T + SETTLE_MS })
  expect(twice.attempt?.progress).toMatchObject({
    phase: 'ended',
    verdict: { outcome: 'never-started', status: 'NEVER_STARTED' },
  })
})

test('row 16: a look that a new wish brought about right after another is no second look', () => {
  const once = after(stopped, { kind: 'lookedEmpty', atMs: T })
  const toggled = want(want(once, 'RUNNING', T + 100), 'STOPPED', T + 200)
  expect(decide(toggled, T + 200)).toMatchObject({ kind: 'look' })
  const soon = after(toggled, { kind: 'lookedEmpty', atMs: T + 300 })
  expect(soon.attempt?.progress.phase).toBe('intended')
  const late = after(soon, { kind: 'lookedEmpty', atMs: T + SETTLE_MS })
  expect(late.attempt?.progress.phase).toBe('ended')
})

test('row 11: a job that a look finds is taken up, and cancelled when it is not wanted', () => {
  expect(decide(after(stopped, found(9)), T)).toMatchObject({ kind: 'cancel', job: { jobId: 9 } })
})

test('a refusal ends the attempt, and no time of waiting brings another', () => {
  const refused = after(asked, {
    kind: 'launchRefused',
    reason: 'no such GPU',
    exceptionName: 'ValueError',
    atMs: T,
  })
  expect(refused.attempt?.progress).toMatchObject({
    phase: 'ended',
    verdict: { status: 'REFUSED', blame: 'code' },
  })
  expect(decide(refused, T + 1e9)).toMatchObject({ kind: 'wait', why: 'no such GPU' })
})

test('row 20: a rename does not change the name under which an attempt is looked for', () => {
  const renamed = wish(unsure, 'edit', { name: 'other', spec: {} })
  expect(renamed).toMatchObject({ name: 'other', attempt: { jobName: 'exp-1.1.1' } })
})

test('row 22: RUNNING twice is one run; stop and run again is a second, and its first launch waits for the end of the first', () => {
  expect(want(want(fresh(), 'RUNNING'), { state: 'RUNNING' }).run).toBe(1)
  const again = want(want(launched(), 'STOPPED'), 'RUNNING')
  expect(again.run).toBe(2)
  expect(decide(again, T)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
  expect(decide(after(again, seen(7, 'CANCELLED', { scheduleState: 'DONE' })), T)).toMatchObject({
    kind: 'launch',
  })
})

test('the same recipe on a cluster that is up is an exec, another one a launch, and a stopped one is started', () => {
  const up = after(want(fresh('cluster'), 'RUNNING'), intended, requested, found(), clusterSeen('UP'))
  const idle = want(after(up, seen(7, 'SUCCEEDED', { clusterName: 'exp-1', seenAtMs: T + 2 })), 'RUNNING')
  expect(decide(idle, T)).toMatchObject({ kind: 'launch', how: 'exec' })
  expect(decide(wish(idle, 'edit', { spec: { nodes: 2 } }), T)).toMatchObject({
    kind: 'launch',
    how: 'cluster',
  })
  const asleep = after(idle, clusterSeen('STOPPED', { seenAtMs: T + 9 }))
  expect(decide(asleep, T)).toMatchObject({ kind: 'cluster', verb: 'start' })
  expect(decide(after(idle, clusterSeen('AUTOSTOPPING', { seenAtMs: T + 9 })), T)).toMatchObject({
    kind: 'wait',
  })
})

test('a cluster that is not as ready as it looked gets the launch the long way, under the same name', () => {
  const up = after(want(fresh('cluster'), 'RUNNING'), intended, clusterSeen('UP'))
  const away = after(up, {
    kind: 'launchRefused',
    reason: 'not up',
    exceptionName: 'ClusterNotUpError',
    atMs: T,
  })
  expect(away.attempt).toMatchObject({ jobName: 'exp-1.1.1', progress: { phase: 'intended', unsure: false } })
  expect(decide(away, T)).toMatchObject({ kind: 'launch', how: 'cluster' })
  // It still looks up, and would refuse the short way again.
  const looksUp = after(away, clusterSeen('UP', { seenAtMs: T + 9 }))
  expect(decide(looksUp, T + 9)).toMatchObject({ kind: 'launch', how: 'cluster' })
})

test('row 18: a job of somebody else under our name is adopted where none is live, and only told of where one is', () => {
  expect(after(wanted, foreign(5, 'RUNNING')).attempt).toMatchObject({
    run: 1,
    jobName: 'exp',
    progress: { phase: 'active', jobId: 5 },
  })
  const beside = after(launched(), foreign(5, 'RUNNING'))
  expect(beside.foreign).toMatchObject([{ jobId: 5 }])
  expect(decide(want(beside, 'STOPPED'), T)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
})

test('row 17: RUNNING is a new run also while the last one is cleaned up, closed or cancelled by somebody', () => {
  const finishing = after(launched(), seen(7, 'SUCCEEDED', { scheduleState: 'ALIVE' }))
  const closing = after(launched(), { kind: 'concluded', conclusion: 'limit', reason: 'too old', atMs: T })
  const cancelled = after(launched(), seen(7, 'CANCELLING'))
  for (const state of [finishing, closing, cancelled]) {
    const again = want(state, 'RUNNING')
    expect(again).toMatchObject({ run: 2, closing: null })
    expect(want(again, 'RUNNING').run).toBe(2)
    const done = after(again, seen(7, 'CANCELLED', { scheduleState: 'DONE', seenAtMs: T + 2 }))
    expect(decide(done, T + 3)).toMatchObject({ kind: 'launch' })
  }
  expect(want(after(launched(), seen(7, 'RUNNING')), 'RUNNING').run).toBe(1)
})

test('row 18: a job of somebody else is not taken into a run that is over, and no limit ends one that was taken', () => {
  const policy = policyWith({ maxAgeMs: 1_000, maxRunMs: 1_000 })
  const over = ended('SUCCEEDED', null, policy)
  const limited = after(over, { kind: 'concluded', conclusion: 'limit', reason: 'too old', atMs: T })
  for (const state of [over, limited])
    expect(after(state, foreign(9, 'RUNNING'))).toMatchObject({
      attempt: { progress: { phase: 'ended', jobId: 7 } },
      foreign: [{ jobId: 9 }],
    })
  const taken = after(want(fresh('managed', policy), 'RUNNING'), foreign(9, 'RUNNING'))
  expect(taken).toMatchObject({ attempt: { isAdopted: true, progress: { phase: 'active', jobId: 9 } } })
  expect(decide(taken, T + 10_000_000)).toMatchObject({ kind: 'wait' })
  expect(decide(want(taken, 'STOPPED'), T)).toMatchObject({ kind: 'cancel', job: { jobId: 9 } })
})

test('what is written down of a launch is what was sent, also where it was edited while it waited for its turn', () => {
  const waiting = after(want(fresh('cluster'), 'RUNNING'), intended)
  const edited = wish(waiting, 'edit', { spec: { flags: { lr: '2' }, gpus: 4 } })
  const sent = after(edited, { ...requested, isFenced: true, submitted: submittedOf(edited) } as Fact)
  expect(sent.attempt).toMatchObject({ specRevision: 2, command: expect.stringContaining('lr') as string })
  expect(sent.cluster?.recipe).toBe(submittedOf(edited).recipe)
  // An earlier launch that was found: nobody knows what it holds, and it was sent before.
  const known = after(edited, { ...requested, submitted: submittedOf(edited) } as Fact)
  expect(known.attempt?.specRevision).toBe(1)
})
