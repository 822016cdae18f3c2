import { expect, test } from 'vitest'
import {
  type Action,
  CANCEL_REPEAT_MS,
  FORGOTTEN_SETTLE_MS,
  MAKING_MAX_MS,
  SETTLE_MS,
} from '../../core/action.ts'
import { decide } from '../../core/decide.ts'
import type { Experiment } from '../../core/experiment.ts'
import type { Fact } from '../../core/facts.ts'
import {
  after,
  clusterSeen,
  ended,
  foreign,
  found,
  fresh,
  intended,
  launched,
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
  expect(decide(stillThere, T + 1)).toMatchObject({ kind: 'wait', untilMs: T + CANCEL_REPEAT_MS })
  expect(decide(stillThere, T + CANCEL_REPEAT_MS)).toMatchObject({ kind: 'abort', requestId: 'r' })
  expect(decide(want(after(stillThere, found()), 'STOPPED'), T + 2)).toMatchObject({ kind: 'cancel' })
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
