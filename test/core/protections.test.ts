import { expect, test } from 'vitest'
import { decide } from '../../core/decide.ts'
import {
  after,
  clusterSeen,
  ended,
  fresh,
  intended,
  launched,
  onCluster,
  policyWith,
  seen,
  T,
  want,
} from '../support/experiments.ts'

// Protections that no story of the other files needs, each by itself. test/mutation switches them off.

const absent = (seenAtMs: number) => ({ kind: 'clusterAbsent', name: 'exp-1', seenAtMs }) as const

test('a launch that waits for its turn waits for the end of a second job too', () => {
  const second = seen(9, 'RUNNING', { jobName: 'exp-1.1.9' })
  const waiting = after(want(fresh(), 'RUNNING'), intended, second)
  const asked = after(waiting, {
    kind: 'cancelAsked',
    job: { jobId: 9, jobName: 'exp-1.1.9', clusterName: null },
    isOver: false,
    atMs: T,
  })
  expect(decide(asked, T + 1)).toMatchObject({ kind: 'wait', why: 'waiting for the end of a second job' })
})

test('an attempt that is live keeps its identity, whatever is intended', () => {
  expect(after(launched(), intended)).toEqual(launched())
})

test('an end that SkyPilot told is never taken back', () => {
  const late = after(ended('SUCCEEDED'), seen(7, 'RUNNING', { seenAtMs: T + 60_000 }))
  expect(late.attempt?.progress).toMatchObject({ phase: 'ended', verdict: { status: 'SUCCEEDED' } })
})

test('a job that vanishes during its clean-up keeps the verdict that it has', () => {
  const vanished = { kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: T + 60_000 } as const
  expect(after(launched(), seen(7, 'SUCCEEDED'), vanished).attempt?.progress).toMatchObject({
    phase: 'ended',
    verdict: { outcome: 'succeeded', status: 'SUCCEEDED' },
  })
})

test('what nobody saw end is not begun again, not even where every end is followed by another run', () => {
  const vanished = { kind: 'vanished', jobId: 7, jobName: 'exp-1.1.1', atMs: T + 1 } as const
  const lost = after(launched('managed', policyWith({}, { when: 'always' })), vanished)
  expect(decide(lost, T + 1e9)).toMatchObject({ kind: 'wait', untilMs: null })
})

test('a look at a job of another experiment changes nothing', () => {
  expect(after(launched(), seen(9, 'RUNNING', { jobName: 'exp-2.1.1' }))).toEqual(launched())
})

test('a look at the cluster that is older than the last one changes nothing', () => {
  const up = after(onCluster(), clusterSeen('UP', { seenAtMs: T + 200 }))
  expect(after(up, clusterSeen('STOPPED', { seenAtMs: T + 100 }))).toEqual(up)
  expect(after(up, absent(T + 100), absent(T + 150))).toEqual(up)
})

test('a cluster that has stopped before the job was known to exist says nothing of the job', () => {
  const early = after(launched('cluster'), clusterSeen('STOPPED', { seenAtMs: T }))
  expect(early.attempt?.progress.phase).toBe('active')
})

test('absence means nothing while a launch makes the cluster', () => {
  const launching = after(want(fresh('cluster'), 'RUNNING'), intended)
  const looked = after(launching, absent(T + 100), absent(T + 200), absent(T + 300))
  expect(looked).toEqual(launching)
})
