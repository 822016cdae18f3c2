import { expect, test } from 'vitest'
import { BROKEN_MS, CLUSTER_LOOK_MS, CLUSTER_REPEAT_MS, isOutdated } from '../../core/action.ts'
import { decide } from '../../core/decide.ts'
import type { Experiment } from '../../core/experiment.ts'
import { explain, wakeAtMs } from '../../core/explain.ts'
import type { Fact } from '../../core/facts.ts'
import {
  after,
  clusterSeen,
  ended,
  foreign,
  found,
  fresh,
  intended,
  onCluster,
  policyWith,
  refusedAt,
  requested,
  seen,
  T,
  want,
  wish,
} from '../support/experiments.ts'

const asked = (verb: 'start' | 'stop' | 'down', atMs = T) =>
  ({ kind: 'clusterAsked', verb, name: 'exp-1', atMs }) as const
const absent = (seenAtMs: number) => ({ kind: 'clusterAbsent', name: 'exp-1', seenAtMs }) as const
const over = after(onCluster(), seen(7, 'SUCCEEDED', { clusterName: 'exp-1', seenAtMs: T + 5 }))

test('STOPPED cancels the job, stops the machines and keeps the cluster', () => {
  const stopping = want(onCluster(), 'STOPPED')
  expect(decide(stopping, T)).toMatchObject({ kind: 'cancel', job: { jobId: 7, clusterName: 'exp-1' } })
  const done = after(stopping, seen(7, 'CANCELLED', { clusterName: 'exp-1', seenAtMs: T + 5 }))
  expect(decide(done, T)).toMatchObject({ kind: 'cluster', verb: 'stop' })
  const still = after(done, asked('stop', T + 10))
  expect(decide(still, T + 11)).toMatchObject({ kind: 'wait', untilMs: T + 10 + CLUSTER_LOOK_MS })
  expect(decide(still, T + 10 + CLUSTER_LOOK_MS)).toMatchObject({ kind: 'lookAtCluster' })
  expect(decide(after(still, clusterSeen('STOPPED', { seenAtMs: T + 20 })), T + 20)).toMatchObject({
    kind: 'wait',
    untilMs: null,
  })
})

test('a cluster that never came up is taken down instead of stopped', () => {
  const early = want(
    after(want(fresh('cluster'), 'RUNNING'), intended, {
      kind: 'launchRefused',
      reason: 'full',
      exceptionName: 'ResourcesUnavailableError',
      atMs: T,
    }),
    'STOPPED',
  )
  expect(decide(early, T)).toMatchObject({ kind: 'cluster', verb: 'down' })
})

test('TERMINATED takes the cluster down with its job, and is reached after two looks that do not show it', () => {
  const wanted = want(onCluster(), 'TERMINATED')
  expect(decide(wanted, T)).toMatchObject({ kind: 'cluster', verb: 'down' })
  const once = after(wanted, asked('down', T + 10), absent(T + 11))
  expect(once.cluster).toMatchObject({ looksAbsent: 1 })
  expect(decide(once, T + 11 + CLUSTER_LOOK_MS)).toMatchObject({ kind: 'lookAtCluster' })
  const gone = after(once, absent(T + 12))
  expect(gone).toMatchObject({
    cluster: null,
    attempt: {
      progress: { phase: 'ended', verdict: { outcome: 'cancelled', reason: 'ended with its cluster' } },
    },
  })
  expect(decide(gone, T)).toMatchObject({ kind: 'wait', why: 'terminated' })
})

test('what was asked without effect is asked for again after a while, not at once', () => {
  const unheeded = after(
    want(over, 'TERMINATED'),
    asked('down', T + 10),
    clusterSeen('UP', { seenAtMs: T + 20 }),
  )
  expect(decide(unheeded, T + 30).kind).not.toBe('cluster')
  expect(decide(unheeded, T + 10 + CLUSTER_REPEAT_MS)).toMatchObject({ kind: 'cluster', verb: 'down' })
})

test('row 25: one look without the cluster, or two far from each other, are no end of it', () => {
  const once = after(onCluster(), absent(T + 100))
  expect(once.attempt?.progress.phase).toBe('active')
  expect(after(once, absent(T + 3_600_000)).attempt?.progress.phase).toBe('active')
  expect(after(once, absent(T + 100)).cluster).toMatchObject({ looksAbsent: 1 })
})

test('row 52: a cluster that went by itself ends its job as the fault of the machines', () => {
  const gone = after(onCluster(), absent(T + 100), absent(T + 200))
  expect(gone).toMatchObject({
    cluster: null,
    attempt: { progress: { verdict: { status: 'CLUSTER_GONE', blame: 'infrastructure' } } },
  })
})

test('row 52: a cluster that somebody stopped ends its job, also when the news of it came before the job was known', () => {
  const stopped = after(onCluster(), clusterSeen('STOPPED', { seenAtMs: T + 100 }))
  expect(stopped.attempt?.progress).toMatchObject({ phase: 'ended', verdict: { status: 'CLUSTER_STOPPED' } })
  const late = after(onCluster(), seen(7, 'RUNNING', { clusterName: 'exp-1', seenAtMs: T + 50 }))
  const asleep = { ...late, cluster: late.cluster && { ...late.cluster, status: 'STOPPED' } }
  expect(decide(asleep, T + 60_000)).toMatchObject({ kind: 'lookAtCluster' })
  expect(after(asleep, clusterSeen('STOPPED', { seenAtMs: T + 60_000 })).attempt?.progress.phase).toBe(
    'ended',
  )
})

test('machines that cannot be stopped are said to be up still, and are asked no more', () => {
  const refused = after(want(over, 'STOPPED'), {
    kind: 'clusterRefused',
    verb: 'stop',
    name: 'exp-1',
    reason: 'not on this cloud',
    atMs: T,
  })
  expect(decide(refused, T + 1e9)).toMatchObject({
    kind: 'wait',
    why: 'cluster exp-1 cannot be stopped, its machines are still up: not on this cloud',
  })
})

test('when the job cannot be cancelled, the cluster is stopped under it', () => {
  const failed = {
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.rejected',
    reason: 'no way in',
    job: { jobId: 7, jobName: 'exp-1.1.1', clusterName: 'exp-1' },
    atMs: T,
  } as const
  expect(decide(after(want(onCluster(), 'STOPPED'), failed, failed), T + 60_000)).toMatchObject({
    kind: 'cluster',
    verb: 'stop',
  })
})

test('a look while a request for the cluster is under way proves nothing, and is taken again', () => {
  const busy = after(want(over, 'TERMINATED'), asked('down', T), {
    kind: 'clusterBusy',
    name: 'exp-1',
    atMs: T + 1,
  })
  expect(busy.cluster).toMatchObject({ looksAbsent: 0 })
  expect(decide(busy, T + 2)).toMatchObject({ kind: 'wait', untilMs: T + 1 + CLUSTER_LOOK_MS })
})

test('a cluster that a forgotten launch brought back is taken down again', () => {
  const gone = after(want(onCluster(), 'TERMINATED'), asked('down', T + 10), absent(T + 11), absent(T + 12))
  const back = after(gone, clusterSeen('UP', { seenAtMs: T + 100 }))
  expect(decide(back, T + 100)).toMatchObject({ kind: 'cluster', verb: 'down' })
})

test('a second job on a cluster that is gone is gone with it', () => {
  const two = after(onCluster(), seen(8, 'RUNNING', { clusterName: 'exp-1', seenAtMs: T + 2 }))
  expect(two.strays).toMatchObject([{ jobId: 8 }])
  expect(after(two, absent(T + 100), absent(T + 200)).strays).toEqual([])
  expect(after(two, clusterSeen('STOPPED', { seenAtMs: T + 100 })).strays).toEqual([])
})

test('facts about other clusters change nothing', () => {
  const state = onCluster()
  const others = [
    clusterSeen('STOPPED', { name: 'else-9' }),
    { kind: 'clusterAbsent', name: 'else-9', seenAtMs: T + 9 },
    { kind: 'clusterAsked', verb: 'down', name: 'else-9', atMs: T },
  ] as const
  expect(after(state, ...others)).toEqual(state)
  expect(after(ended('SUCCEEDED'), clusterSeen('UP'))).toEqual(ended('SUCCEEDED'))
  expect(after(want(fresh('cluster'), 'RUNNING'), requested).cluster).toBeNull()
})

test('taking it down that fails is asked for again after a pause, however it was refused', () => {
  const going = want(over, 'TERMINATED')
  const refused = {
    kind: 'clusterRefused',
    verb: 'down',
    name: 'exp-1',
    reason: 'no way',
    atMs: T + 10,
  } as const
  const after10 = after(going, refused)
  expect(decide(after10, T + 11)).toMatchObject({ kind: 'wait', untilMs: T + 10 + CLUSTER_REPEAT_MS })
  expect(decide(after10, T + 10 + CLUSTER_REPEAT_MS)).toMatchObject({ kind: 'cluster', verb: 'down' })
})

test('a stop that was refused is asked for again when it is wished again', () => {
  const refusal = {
    kind: 'clusterRefused',
    verb: 'stop',
    name: 'exp-1',
    reason: 'cannot',
    atMs: T + 10,
  } as const
  const refused = after(want(over, 'STOPPED'), refusal)
  expect(decide(refused, T + 11)).toMatchObject({ kind: 'wait', untilMs: null })
  const again = want(want(refused, 'RUNNING'), 'STOPPED')
  expect(decide(again, T + 11)).toMatchObject({ kind: 'cluster', verb: 'stop' })
})

test('TERMINATED during a launch that cannot be looked at takes the cluster down unseen, and then it is over', () => {
  const launching = want(after(want(fresh('cluster'), 'RUNNING'), intended), 'TERMINATED')
  expect(decide(launching, T)).toMatchObject({ kind: 'look' })
  const blind = {
    kind: 'actionFailed',
    action: 'look',
    errorKind: 'SkyPilot.rejected',
    reason: 'no SSH',
  } as const
  const twice = after(launching, { ...blind, atMs: T + 1 }, { ...blind, atMs: T + 5_000 })
  expect(decide(twice, T + 60_000)).toMatchObject({ kind: 'cluster', verb: 'down' })
  const gone = after(twice, asked('down', T + 60_001), absent(T + 60_002), absent(T + 70_000))
  expect(gone).toMatchObject({ cluster: null, attempt: { progress: { phase: 'ended' } } })
})

const managedNow = (state: Experiment): Experiment => wish(state, 'edit', { spec: { executor: 'managed' } })

test('a cluster that is left for managed jobs is stopped, beside the job that runs and before it', () => {
  const left = managedNow(over)
  const stop = { kind: 'cluster', verb: 'stop', name: 'exp-1' }
  expect(decide(left, T + 9)).toMatchObject(stop)
  const again = after(want(left, 'RUNNING'), intended, requested, found(8, T + 10))
  const running = after(again, seen(8, 'RUNNING', { jobName: 'exp-1.2.1', seenAtMs: T + 11 }))
  expect(decide(running, T + 11)).toMatchObject({
    ...stop,
    why: expect.stringMatching(/^running; /) as string,
  })
  const refused = { kind: 'clusterRefused', verb: 'stop', name: 'exp-1', reason: 'no', atMs: T + 12 } as const
  expect(decide(after(running, refused), T + 12)).toEqual({ kind: 'wait', untilMs: null, why: 'running' })
})

test('what is done to a left cluster gives way to a stop, and its failing holds up nothing', () => {
  const left = after(want(managedNow(over), 'RUNNING'), intended, requested, found(8, T + 10))
  const running = after(left, seen(8, 'RUNNING', { jobName: 'exp-1.2.1', seenAtMs: T + 11 }))
  const stop = decide(running, T + 11)
  if (stop.kind !== 'cluster') throw new Error(`it does ${stop.kind}`)
  expect(isOutdated(stop, stop)).toBe(false)
  for (const state of [want(running, 'STOPPED'), want(running, 'TERMINATED'), wish(running, 'delete')])
    expect(isOutdated(stop, decide(state, T + 11))).toBe(true)
  const failed = {
    kind: 'actionFailed',
    action: 'cluster',
    errorKind: 'SkyPilot.rejected',
    reason: 'no',
  } as const
  const troubled = after(running, { ...failed, atMs: T + 12 })
  expect(decide(troubled, T + 13)).toMatchObject({ kind: 'wait', untilMs: T + 12 + CLUSTER_REPEAT_MS })
  expect(decide(troubled, T + 12 + CLUSTER_REPEAT_MS)).toMatchObject({ kind: 'cluster', verb: 'stop' })
  expect(decide(want(troubled, 'STOPPED'), T + 13)).toMatchObject({ kind: 'cancel' })
  const two = after(troubled, seen(9, 'RUNNING', { jobName: 'exp-1.2.1', seenAtMs: T + 13 }))
  expect(decide(two, T + 13)).toMatchObject({ kind: 'cancel', job: { jobId: 9 } })
})

test('a cluster is not left while a job is on it, nor an adopted one', () => {
  expect(decide(managedNow(onCluster()), T + 9)).toMatchObject({ kind: 'wait', why: 'running' })
  // Not even one that has the very name that its own would have.
  const adopted = wish(fresh(), 'adopt', { jobId: 3, jobName: 'theirs', clusterName: 'exp-1' })
  const done = { jobName: 'theirs', clusterName: 'exp-1', scheduleState: null, seenAtMs: T + 5 }
  const idle = after(adopted, foreign(3, 'SUCCEEDED', done))
  expect(idle.attempt?.progress.phase).toBe('ended')
  expect(decide(after(idle, clusterSeen('UP', { seenAtMs: T + 6 })), T + 9).kind).not.toBe('cluster')
})

test('while it runs, people are told so first, and beside it what is done to the cluster', () => {
  const running = wish(onCluster(), 'edit', { policy: { autostopMinutes: 5 } })
  expect(decide(running, T + 9)).toMatchObject({
    kind: 'autostop',
    why: 'running; the cluster shall stop itself after 5 min without a job',
  })
})

test('a cluster that comes back under the name that the experiment had is its own', () => {
  const gone = after(want(over, 'TERMINATED'), asked('down', T + 10), absent(T + 20), absent(T + 30))
  expect(gone.cluster).toBeNull()
  const renamed = wish(gone, 'edit', { name: 'other', spec: {} })
  const back = after(renamed, clusterSeen('UP', { seenAtMs: T + 40 }))
  expect(decide(back, T + 50)).toMatchObject({ kind: 'cluster', verb: 'down', name: 'exp-1' })
})

test('a job that an idle cluster does not take is launched the long way once, whatever the cluster has become', () => {
  const sent = after(want(over, 'RUNNING'), intended)
  expect(decide(want(over, 'RUNNING'), T)).toMatchObject({ kind: 'launch', how: 'exec' })
  const asleep = after(sent, requested, clusterSeen('STOPPED', { seenAtMs: T + 20 }))
  const refused = after(asleep, refusedAt('ClusterNotUpError', T + 30))
  expect(refused.attempt?.progress.phase).toBe('intended')
  expect(decide(refused, T + 31)).toMatchObject({ kind: 'launch', how: 'cluster' })
  const again = after(refused, requested, refusedAt('ClusterNotUpError', T + 40))
  expect(again.attempt?.progress).toMatchObject({ phase: 'ended', verdict: { status: 'REFUSED' } })
  // A managed job has no cluster that could be launched the long way.
  const managed = after(want(fresh(), 'RUNNING'), intended, requested, refusedAt('ClusterNotUpError'))
  expect(managed.attempt?.progress.phase).toBe('ended')
})

test('a cluster that a launch left half made is taken down when the run is over, although RUNNING is wanted', () => {
  const refused = after(
    want(fresh('cluster'), 'RUNNING'),
    intended,
    requested,
    refusedAt('ResourcesUnavailableError'),
  )
  // Nobody knows yet whether anything is left.
  expect(decide(refused, T + 10_000)).toMatchObject({ kind: 'lookAtCluster' })
  const half = after(refused, clusterSeen('INIT', { seenAtMs: T + 11_000 }))
  expect(decide(half, T + 11_001)).toMatchObject({ kind: 'cluster', verb: 'down' })
  const none = after(refused, absent(T + 11_000), absent(T + 17_000))
  expect(none.cluster).toBeNull()
  expect(decide(none, T + 17_001)).toMatchObject({ kind: 'wait', untilMs: null })
  // Another attempt would use it.
  const retrying = { ...half, policy: policyWith({}, { when: 'on-failure' }) }
  expect(decide(retrying, T + 11_001).kind).not.toBe('cluster')
})

test('a cluster that broke after its job is told of, and stopped when it does not come back', () => {
  const broken = after(over, clusterSeen('INIT', { seenAtMs: T + 100 }))
  expect(decide(broken, T + 101)).toMatchObject({ kind: 'wait' })
  expect(wakeAtMs(broken, decide(broken, T + 101), T + 101)).toBe(T + 100 + BROKEN_MS)
  expect(decide(broken, T + 100 + BROKEN_MS)).toMatchObject({ kind: 'cluster', verb: 'stop' })
  const back = after(broken, clusterSeen('UP', { seenAtMs: T + 200 }))
  expect(decide(back, T + 100 + BROKEN_MS).kind).not.toBe('cluster')
})

test('a job on a cluster that broke under it is told to be out of sight after a while, and is not ended', () => {
  const broken = after(onCluster(), clusterSeen('INIT', { seenAtMs: T + 100 }))
  const nowMs = T + 100 + BROKEN_MS
  expect(decide(broken, nowMs).kind).toBe('wait')
  expect(explain(broken, nowMs)).toMatchObject({
    headline: 'overdue',
    phase: 'running',
    next: expect.stringContaining('cannot be seen') as string,
  })
})

test('a cluster that lets no cancel through is stopped, whichever of its jobs the cancels were for', () => {
  const second = { jobName: 'exp-1.1.1', clusterName: 'exp-1', scheduleState: null, seenAtMs: T + 2 }
  const two = want(after(onCluster(), seen(9, 'RUNNING', second)), 'STOPPED', T + 3)
  const failedAt = (jobId: number, atMs: number): Fact => ({
    kind: 'actionFailed',
    action: 'cancel',
    errorKind: 'SkyPilot.timeout',
    reason: 'no answer',
    job: { jobId, jobName: 'exp-1.1.1', clusterName: 'exp-1' },
    atMs,
  })
  const once = after(two, failedAt(9, T + 60_000))
  expect(decide(once, T + 60_001)).toMatchObject({ kind: 'cancel', job: { jobId: 7 } })
  const twice = after(once, failedAt(7, T + 120_000))
  expect(decide(twice, T + 180_000)).toMatchObject({ kind: 'cluster', verb: 'stop' })
})

test('a start that is not wanted any more is left at once, and what it does is not forgotten', () => {
  const asleep = after(over, clusterSeen('STOPPED', { seenAtMs: T + 50 }))
  const starting = decide(want(asleep, 'RUNNING'), T + 60)
  if (starting.kind !== 'cluster') throw new Error(starting.kind)
  const ending = want(want(asleep, 'RUNNING'), 'TERMINATED')
  expect(isOutdated(starting, decide(ending, T + 61))).toBe(true)
  const left = after(want(want(asleep, 'RUNNING'), 'STOPPED'), asked('start', T + 61))
  expect(explain(left, T + 62).phase).toBe('stopping')
  expect(decide(left, T + 62)).toMatchObject({ kind: 'cluster', verb: 'stop' })
})

test('STOPPED during a launch that cannot be looked at stops its cluster unseen, and then looks', () => {
  const failed = (atMs: number) =>
    ({
      kind: 'actionFailed',
      action: 'look',
      errorKind: 'SkyPilot.rejected',
      reason: 'no way',
      atMs,
    }) as const
  const lostLaunch = { kind: 'launchUnsure', reason: 'lost', atMs: T } as const
  const unsure = after(want(over, 'RUNNING'), intended, requested, lostLaunch)
  const blind = after(want(unsure, 'STOPPED'), failed(T), failed(T + 10_000))
  expect(decide(blind, T + 60_000)).toMatchObject({ kind: 'cluster', verb: 'stop' })
  const rested = after(blind, asked('stop', T + 61_000), clusterSeen('STOPPED', { seenAtMs: T + 70_000 }))
  expect(decide(rested, T + 80_000)).toMatchObject({ kind: 'look' })
})
