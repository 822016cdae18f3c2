import { describe, expect, test } from 'vitest'
import { FleetView } from '../../activities/fleet-view.ts'
import type { ManagedJobRecord } from '../../skypilot/schemas.ts'

const T = 1_000_000_000_000

const job = (jobId: number, status: string, over: Partial<ManagedJobRecord> = {}): ManagedJobRecord => ({
  jobId,
  taskId: 0,
  jobName: `exp-${jobId}.1.1`,
  status,
  scheduleState: 'ALIVE',
  submittedAtMs: T,
  startAtMs: null,
  endAtMs: null,
  recoveryCount: 0,
  failureReason: null,
  details: null,
  resources: null,
  infra: null,
  ...over,
})
const look = (live: ManagedJobRecord[], ended: ManagedJobRecord[] = [], complete = true) => ({
  live,
  ended,
  complete,
  seenAtMs: T,
})
const told = (view: FleetView, ...args: Parameters<typeof look>): number[] => [
  ...view.take(look(...args)).keys(),
]

describe('only news are told', () => {
  test('a job is told once, and again when something about it changed', () => {
    const view = new FleetView()
    expect(told(view, [job(1, 'RUNNING'), job(2, 'PENDING')])).toEqual([1, 2])
    expect(told(view, [job(1, 'RUNNING'), job(2, 'PENDING')])).toEqual([])
    expect(told(view, [job(1, 'RUNNING'), job(2, 'RUNNING')])).toEqual([2])
    expect(told(view, [job(1, 'RUNNING', { recoveryCount: 1 }), job(2, 'RUNNING')])).toEqual([1])
  })

  test('strangers are nobody to be told of', () => {
    expect(told(new FleetView(), [job(1, 'RUNNING', { jobName: 'somebody-elses' })])).toEqual([])
  })

  test('what could not be delivered is told again', () => {
    const view = new FleetView()
    view.forgetTold(view.take(look([job(1, 'RUNNING')])).get(1) ?? [])
    expect(told(view, [job(1, 'RUNNING')])).toEqual([1])
  })
})

describe('the end of a job', () => {
  test('is asked for by id once it left the live ones, and told once', () => {
    const view = new FleetView()
    view.take(look([job(1, 'RUNNING')]))
    expect(view.notIn([])).toEqual([1])
    const done = job(1, 'SUCCEEDED', { scheduleState: 'DONE' })
    expect(told(view, [], [done])).toEqual([1])
    expect(view.notIn([])).toEqual([])
    view.track(1, 'exp-1.1.1')
    expect(view.notIn([])).toEqual([])
  })

  test('between two looks is not missed, because the experiment waits for it', () => {
    const view = new FleetView()
    view.track(1, 'exp-1.1.1')
    expect(view.notIn([])).toEqual([1])
  })

  test('that an experiment does not show a while later is told again', () => {
    const view = new FleetView()
    const done = job(1, 'SUCCEEDED', { scheduleState: 'DONE' })
    view.take(look([], [done]))
    view.audit(1, 'exp-1.1.1', 'RUNNING')
    expect(told(view, [], [done])).toEqual([1])
    view.take(look([job(2, 'RUNNING')]))
    view.audit(2, 'exp-2.1.1', 'RUNNING')
    expect(told(view, [job(2, 'RUNNING')])).toEqual([])
  })
})

describe('absence', () => {
  test('from one look means nothing, from two complete ones that the job is gone', () => {
    const view = new FleetView()
    view.take(look([job(1, 'RUNNING')]))
    expect(told(view, [])).toEqual([])
    expect(view.take(look([])).get(1)).toMatchObject([{ kind: 'vanished', jobId: 1 }])
  })

  test('from a look that could not be read in full never counts', () => {
    const view = new FleetView()
    view.take(look([job(1, 'RUNNING')]))
    for (let i = 0; i < 10; i += 1) expect(told(view, [], [], false)).toEqual([])
  })

  test('ends with the next sight of it', () => {
    const view = new FleetView()
    view.take(look([job(1, 'RUNNING')]))
    view.take(look([]))
    view.take(look([job(1, 'RUNNING')]))
    expect(told(view, [])).toEqual([])
  })
})
