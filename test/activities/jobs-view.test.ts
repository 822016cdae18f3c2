import { describe, expect, test } from 'vitest'
import { JobsView, MISSES_APART_MS, type QueueRow } from '../../activities/jobs-view.ts'

const T = 1_000_000_000_000

const job = (jobId: number, status: string, over: Partial<QueueRow> = {}): QueueRow => ({
  jobId,
  jobName: `exp-${jobId}.1.1`,
  status,
  scheduleState: 'ALIVE',
  submittedAtMs: T,
  startAtMs: null,
  endAtMs: null,
  recoveryCount: 0,
  failureReason: null,
  details: null,
  ...over,
})
/** Each look is as long after the one before as two that count must be. */
let now = T
const look = (rows: QueueRow[], complete = true) => ({ rows, complete, seenAtMs: (now += MISSES_APART_MS) })
const awaited = (jobId: number) => ({ jobId, jobName: `exp-${jobId}.1.1`, experimentId: jobId })
const nobody = (): undefined => undefined
const facts = (view: JobsView, ...args: Parameters<typeof look>) => view.take(look(...args), nobody)
const told = (view: JobsView, ...args: Parameters<typeof look>): number[] =>
  facts(view, ...args).map(([experimentId]) => experimentId)
const managed = (): JobsView => new JobsView(null)

describe('only news are told', () => {
  test('a job is told once, and again when something about it changed', () => {
    const view = managed()
    expect(told(view, [job(1, 'RUNNING'), job(2, 'PENDING')])).toEqual([1, 2])
    expect(told(view, [job(1, 'RUNNING'), job(2, 'PENDING')])).toEqual([])
    expect(told(view, [job(1, 'RUNNING'), job(2, 'RUNNING')])).toEqual([2])
    expect(told(view, [job(1, 'RUNNING', { recoveryCount: 1 }), job(2, 'RUNNING')])).toEqual([1])
  })

  test('strangers are nobody to be told of', () => {
    expect(told(managed(), [job(1, 'RUNNING', { jobName: 'somebody-elses' })])).toEqual([])
  })

  test("a job under the bare name of an experiment is told to that experiment, as somebody else's", () => {
    const rows = [job(1, 'RUNNING', { jobName: 'exp' })]
    const news = managed().take(look(rows), (name) => (name === 'exp' ? 7 : undefined))
    expect(news).toMatchObject([[7, { kind: 'foreignSeen', observation: { jobId: 1, jobName: 'exp' } }]])
  })

  test('an adopted job is told to the experiment that took it, whatever its name', () => {
    const view = managed()
    view.track({ jobId: 1, jobName: 'a-stray', experimentId: 7 })
    const stray = job(1, 'RUNNING', { jobName: 'a-stray' })
    expect(facts(view, [stray])).toMatchObject([[7, { kind: 'foreignSeen' }]])
    expect(told(view, [])).toEqual([])
    expect(facts(view, [])).toMatchObject([[7, { kind: 'vanished', jobName: 'a-stray' }]])
  })

  test('a job of somebody else is told to whoever has its name now, also after one that could not be reached', () => {
    const view = managed()
    const seen = (status: string, owner: number) =>
      view.take(look([job(1, status, { jobName: 'exp' })]), (name) => (name === 'exp' ? owner : undefined))
    for (const [id, fact] of seen('PENDING', 7)) view.forgetTold(id, fact)
    expect(seen('RUNNING', 8)).toMatchObject([[8, { kind: 'foreignSeen' }]])
  })

  test('an adopted job of another experiment is told to the one that took it', () => {
    const view = managed()
    view.track({ jobId: 1, jobName: 'old-3.1.1', experimentId: 5 })
    const taken = job(1, 'RUNNING', { jobName: 'old-3.1.1' })
    expect(facts(view, [taken])).toMatchObject([[5, { kind: 'foreignSeen' }]])
  })

  test('what could not be delivered is told again', () => {
    const view = managed()
    for (const [id, fact] of facts(view, [job(1, 'RUNNING')])) view.forgetTold(id, fact)
    expect(told(view, [job(1, 'RUNNING')])).toEqual([1])
  })
})

describe('what was told, and no experiment has for its live job', () => {
  const shown = (jobId: number) => ({ jobId, experimentId: jobId })

  test('is told again at an audit, and only then: it may have been taken for over, wrongly', () => {
    const view = managed()
    const rows = [job(1, 'RUNNING'), job(2, 'RUNNING')]
    facts(view, rows)
    view.tellAgainBut([shown(2)])
    expect(told(view, rows)).toEqual([1])
    expect(told(view, rows)).toEqual([])
  })

  test('is told again where another experiment has it', () => {
    const view = managed()
    facts(view, [job(1, 'RUNNING')])
    view.tellAgainBut([{ jobId: 1, experimentId: 5 }])
    expect(told(view, [job(1, 'RUNNING')])).toEqual([1])
  })

  test('is told again at an audit where nobody was there to be told, whatever the tables show', () => {
    const view = managed()
    for (const [, fact] of facts(view, [job(1, 'RUNNING')])) view.noteUnheard(fact)
    expect(told(view, [job(1, 'RUNNING')])).toEqual([])
    view.tellAgainBut([shown(1)])
    expect(told(view, [job(1, 'RUNNING')])).toEqual([1])
    view.tellAgainBut([shown(1)])
    expect(told(view, [job(1, 'RUNNING')])).toEqual([])
  })

  test('counts its looks without it all the same', () => {
    const view = managed()
    facts(view, [job(1, 'RUNNING')])
    facts(view, [])
    view.tellAgainBut([])
    expect(facts(view, [])).toMatchObject([[1, { kind: 'vanished' }]])
  })
})

describe('the end of a job', () => {
  test('is asked for by id once it left the live ones, and told once', () => {
    const view = managed()
    facts(view, [job(1, 'RUNNING')])
    expect(view.notIn([])).toEqual([1])
    const done = job(1, 'SUCCEEDED', { scheduleState: 'DONE' })
    expect(told(view, [done])).toEqual([1])
    expect(view.notIn([])).toEqual([])
    view.track(awaited(1))
    expect(view.notIn([])).toEqual([])
  })

  test('between two looks is not missed, because the experiment waits for it', () => {
    const view = managed()
    view.track(awaited(1))
    expect(view.notIn([])).toEqual([1])
  })

  test('that an experiment does not show a while later is told again', () => {
    const view = managed()
    const done = job(1, 'SUCCEEDED', { scheduleState: 'DONE' })
    facts(view, [done])
    view.audit(awaited(1), 'RUNNING')
    expect(told(view, [done])).toEqual([1])
    facts(view, [job(2, 'RUNNING')])
    view.audit(awaited(2), 'RUNNING')
    expect(told(view, [job(2, 'RUNNING')])).toEqual([])
  })
})

describe('absence', () => {
  test('from one look means nothing, from two complete ones that the job is gone', () => {
    const view = managed()
    facts(view, [job(1, 'RUNNING')])
    expect(told(view, [])).toEqual([])
    expect(facts(view, [])).toMatchObject([[1, { kind: 'vanished', jobId: 1 }]])
  })

  test('from two looks right after each other, as somebody asks for them, counts once', () => {
    const view = managed()
    facts(view, [job(1, 'RUNNING')])
    const { seenAtMs } = look([])
    const soon = (afterMs: number) =>
      view.take({ rows: [], complete: true, seenAtMs: seenAtMs + afterMs }, nobody)
    expect(soon(0)).toEqual([])
    expect(soon(1)).toEqual([])
    expect(soon(MISSES_APART_MS - 1)).toEqual([])
    expect(soon(MISSES_APART_MS)).toMatchObject([[1, { kind: 'vanished' }]])
  })

  test("of somebody else's job is told to the experiment that has its name, as its end is", () => {
    const ownerOf = (name: string) => (name === 'exp' ? 7 : undefined)
    for (const isDelivered of [true, false]) {
      const view = managed()
      const foreign = job(1, 'RUNNING', { jobName: 'exp' })
      const seen = view.take(look([foreign]), ownerOf)
      if (!isDelivered) for (const [id, fact] of seen) view.forgetTold(id, fact)
      view.take(look([]), nobody)
      expect(view.take(look([]), nobody)).toMatchObject([[7, { kind: 'vanished', jobId: 1, jobName: 'exp' }]])
      // The tables are away, or the experiment has another name by now.
      view.take(look([job(2, 'RUNNING', { jobName: 'exp' })]), ownerOf)
      const over = job(2, 'FAILED', { jobName: 'exp', scheduleState: 'DONE' })
      expect(view.take(look([over]), nobody)).toMatchObject([[7, { kind: 'foreignSeen' }]])
    }
  })

  test('from a look that could not be read in full never counts', () => {
    const view = managed()
    facts(view, [job(1, 'RUNNING')])
    for (let i = 0; i < 10; i += 1) expect(told(view, [], false)).toEqual([])
  })

  test('ends with the next sight of it', () => {
    const view = managed()
    facts(view, [job(1, 'RUNNING')])
    facts(view, [])
    facts(view, [job(1, 'RUNNING')])
    expect(told(view, [])).toEqual([])
  })
})

describe('the jobs of a cluster', () => {
  const ended = job(1, 'SUCCEEDED', { scheduleState: null })

  test('are over with their status, for a cluster has no clean-up', () => {
    const view = new JobsView('exp-1')
    facts(view, [job(1, 'RUNNING', { scheduleState: null })])
    expect(view.isWaiting).toBe(true)
    expect(facts(view, [ended])).toMatchObject([
      [1, { kind: 'observed', observation: { clusterName: 'exp-1' } }],
    ])
    expect(view.isWaiting).toBe(false)
  })

  test('that ended long ago are no news, unless an experiment still waits for one', () => {
    const view = new JobsView('exp-1')
    expect(told(view, [ended])).toEqual([])
    view.audit(awaited(1), 'RUNNING')
    expect(told(view, [ended])).toEqual([1])
  })
})
