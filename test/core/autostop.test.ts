import { expect, test } from 'vitest'
import { AUTOSTOP_AGAIN_MS } from '../../core/action.ts'
import { decide } from '../../core/decide.ts'
import { explain, wakeAtMs } from '../../core/explain.ts'
import type { Fact } from '../../core/facts.ts'
import {
  after,
  clusterSeen,
  intended,
  launched,
  onCluster,
  policyWith,
  refusedAt,
  requested,
  seen,
  T,
  want,
  wish,
} from '../support/experiments.ts'

const over = after(onCluster(), seen(7, 'SUCCEEDED', { clusterName: 'exp-1', seenAtMs: T + 5 }))

test('the time after which it stops itself is kept as it is wanted, and refused only once', () => {
  const up = after(launched('cluster'), clusterSeen('UP'))
  expect(decide(up, T)).toMatchObject({ kind: 'autostop', minutes: 30 })
  const refused = after(up, { kind: 'autostopAsked', name: 'exp-1', minutes: 30, refusal: 'cannot', atMs: T })
  expect(decide(refused, T).kind).toBe('wait')
  expect(explain(refused, T).evidence).toContain('it does not stop itself when idle: cannot')
  const never = after(launched('cluster', policyWith({ autostopMinutes: null })), clusterSeen('UP'))
  expect(decide(never, T).kind).toBe('wait')
})

test('that it stops itself is asked for again when SkyPilot forgot it, and after it was made anew', () => {
  const kept = after(over, clusterSeen('UP', { seenAtMs: T + 50, autostopMinutes: 30 }))
  expect(decide(kept, T + 60).kind).toBe('wait')
  const forgotten = after(kept, clusterSeen('UP', { seenAtMs: T + 70, autostopMinutes: null }))
  expect(decide(forgotten, T + 80)).toMatchObject({ kind: 'autostop', minutes: 30 })
  const away = after(want(kept, 'RUNNING'), intended, requested, refusedAt('ClusterNotUpError', T + 90))
  expect(away.cluster).toMatchObject({ autostopAsked: null, autostopRefusal: null })
})

test('that it stops itself and could not be asked for is told and asked for again; nothing else waits for it', () => {
  const kept = after(over, clusterSeen('UP', { seenAtMs: T + 40, autostopMinutes: 30 }))
  const forgotten = after(kept, clusterSeen('UP', { seenAtMs: T + 50, autostopMinutes: null }))
  const failedAt = (atMs: number): Fact => ({
    kind: 'actionFailed',
    action: 'autostop',
    errorKind: 'SkyPilot.rejected',
    reason: 'the machine does not answer',
    atMs,
  })
  const failed = after(forgotten, failedAt(T + 60))
  expect(failed.trouble).toBeNull()
  const waiting = decide(failed, T + 61)
  expect(waiting.kind).toBe('wait')
  expect(explain(failed, T + 61).evidence.join()).toContain('the machine does not answer')
  const againAtMs = T + 60 + AUTOSTOP_AGAIN_MS
  expect(wakeAtMs(failed, waiting, T + 61)).toBe(againAtMs)
  expect(decide(failed, againAtMs).kind).toBe('autostop')
  const logged = after(failed, failedAt(againAtMs)).events.filter(({ kind }) => kind === 'action-failed')
  expect(logged).toHaveLength(1)
  const set = after(failed, {
    kind: 'autostopAsked',
    name: 'exp-1',
    minutes: 30,
    refusal: null,
    atMs: T + 70,
  })
  expect(set.cluster).toMatchObject({ autostopAsked: 30, autostopRefusal: null })
  expect(decide(want(failed, 'STOPPED'), T + 61)).toMatchObject({ kind: 'cluster', verb: 'stop' })
})

test('a failure to set its autostop says nothing of the cloud, and hides nothing that SkyPilot does to it later', () => {
  const kept = after(over, clusterSeen('UP', { seenAtMs: T + 40, autostopMinutes: 30 }))
  const longer = wish(kept, 'edit', { policy: { autostopMinutes: 60 } })
  const failed = after(longer, {
    kind: 'actionFailed',
    action: 'autostop',
    errorKind: 'SkyPilot.unreachable',
    reason: 'connection refused',
    atMs: T + 50,
  })
  expect(failed.cluster).toMatchObject({ autostopRefusal: null })
  expect(explain(failed, T + 51).evidence.join()).not.toContain('does not stop itself')
  // SkyPilot may have taken the other time before the way broke: what was asked for first is asked for again.
  const back = wish(failed, 'edit', { policy: { autostopMinutes: 30 } })
  const againAtMs = T + 50 + AUTOSTOP_AGAIN_MS
  expect(wakeAtMs(back, decide(back, T + 51), T + 51)).toBe(againAtMs)
  expect(decide(back, againAtMs)).toMatchObject({ kind: 'autostop', minutes: 30 })
  const broken = after(back, clusterSeen('INIT', { seenAtMs: T + 60 }))
  const bare = after(broken, clusterSeen('UP', { seenAtMs: T + 70, autostopMinutes: null }))
  expect(decide(bare, againAtMs)).toMatchObject({ kind: 'autostop', minutes: 30 })
})
