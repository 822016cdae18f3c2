import { describe, expect, test } from 'vitest'
import { attempt, calmEvidence, command, event, jobLines } from './calm-evidence.ts'
import { check } from './check.ts'
import { unfinishedOverlaps } from './check-jobs.ts'
import type { Evidence, FaultRecord, Invariant } from './evidence.ts'
import { histogramOf } from './jobs.ts'
import { TableWatch } from './tables.ts'

type Calm = ReturnType<typeof calmEvidence>

/** What is found when one thing is changed in a run in which all is well. */
const found = (plant: (calm: Calm) => Partial<Evidence>): Invariant[] => {
  const calm = calmEvidence()
  const violations = check({ ...calm, ...plant(calm) })
  return [...new Set(violations.map(({ invariant }) => invariant))]
}

const blind: FaultRecord = {
  label: 'freeze worker',
  target: 'worker-1',
  detail: '',
  startedMs: 900,
  endedMs: 2_000,
  blinds: true,
}

test('a run in which all is well has no violations', () => {
  expect(check(calmEvidence())).toEqual([])
})

describe('jobs', () => {
  /** A second job beside the first, ended by a cancel. */
  const second = (name: string, fromMs: number, toMs: number) => (calm: Calm) => ({
    ledger: [...calm.ledger, ...jobLines(2, name, fromMs, toMs, 'cancelled')],
    attempts: [
      ...calm.attempts,
      ...(name === 'x0-1.1.1' ? [] : [attempt(name, 2, 'CANCELLED', 'cancelled')]),
    ],
  })
  const witnessed = (calm: Calm, fromMs: number, toMs: number): Evidence['witness'] => [
    ...calm.witness,
    { experimentId: 1, jobId: 2, what: 'begin', atMs: fromMs },
    { experimentId: 1, jobId: 2, what: 'end', atMs: toMs },
  ]

  test('user code that ran twice at once is found, and both jobs are told', () => {
    const calm = calmEvidence()
    const violations = check({
      ...calm,
      ...second('x0-1.1.2', 2_000, 3_000)(calm),
      witness: witnessed(calm, 2_100, 2_900),
    })
    expect(violations.map(({ invariant }) => invariant)).toEqual(['I1 exclusion'])
    expect(violations[0]?.text).toMatch(/jobs 1 .* and 2 .* for 800 ms/)
    expect(violations[0]?.lines).toHaveLength(10)
  })

  test('a second run after the first has ended is right', () => {
    expect(
      found((calm) => ({
        ...second('x0-1.1.2', 5_100, 6_000)(calm),
        witness: witnessed(calm, 5_200, 5_900),
      })),
    ).toEqual([])
  })

  test('a second job whose code never began is an overlap, and no double run', () => {
    expect(found(second('x0-1.1.2', 2_000, 3_000))).toEqual([])
    const calm = calmEvidence()
    const overlaps = unfinishedOverlaps({ ...calm, ...second('x0-1.1.2', 2_000, 3_000)(calm) })
    expect(histogramOf(overlaps)).toMatchObject({ '<= 1 s': 1, '<= 2 s': 0, '> 90 s': 0 })
  })

  test('two unfinished jobs for too long are found', () => {
    expect(
      found((calm) => ({
        ...second('x0-1.1.2', 2_000, 60_000)(calm),
        ledger: [
          ...jobLines(1, 'x0-1.1.1', 1_000, 61_000, 'succeeded'),
          ...jobLines(2, 'x0-1.1.2', 2_000, 60_000, 'cancelled'),
        ],
      })),
    ).toEqual(['I1b overlap'])
  })

  test('one name submitted twice is found, unless a fault kept everybody from knowing', () => {
    const twice = second('x0-1.1.1', 2_000, 3_000)
    expect(found(twice)).toEqual(['I2 submission'])
    expect(found((calm) => ({ ...twice(calm), faults: [blind] }))).toEqual([])
  })

  test('a job that succeeded without a trace of its code is found', () => {
    expect(found(() => ({ witness: [] }))).toEqual(['I1 exclusion'])
  })

  test('an orphan is found', () => {
    expect(
      found((calm) => ({ ledger: [...calm.ledger, ...jobLines(7, 'x0-1.4.1', 6_000, 7_000, 'failed')] })),
    ).toEqual(['orphans'])
  })

  test('a launch long after an acknowledged stop is found', () => {
    expect(
      found((calm) => ({
        ledger: [...calm.ledger, ...jobLines(2, 'x0-1.2.1', 90_000, 91_000, 'cancelled')],
        attempts: [...calm.attempts, attempt('x0-1.2.1', 2, 'CANCELLED', 'cancelled')],
        commands: [
          ...calm.commands,
          command('chaos-0.2', 'state', 'STOPPED', 50_000),
          command('chaos-0.3', 'state', 'RUNNING', 95_000),
        ],
        events: [
          ...calm.events,
          event(1, 5, 'desired', 'chaos-0.2', 50_010, { to: 'STOPPED', generation: 2 }),
          event(1, 6, 'desired', 'chaos-0.3', 95_010, { to: 'RUNNING', generation: 3 }),
        ],
        workflows: calm.workflows.map((view) => ({
          ...view,
          tokens: [...view.tokens, 'chaos-0.2', 'chaos-0.3'],
        })),
      })),
    ).toEqual(['I5 stop'])
  })

  test('an outcome that is wrong, missing or left open is found', () => {
    for (const wrong of [
      attempt('x0-1.1.1', 1, 'FAILED', 'failed'),
      { ...attempt('x0-1.1.1', 1, 'SUCCEEDED', null), phase: 'ended' },
    ])
      expect(found(() => ({ attempts: [wrong] }))).toEqual(['I7 outcomes'])
    expect(found(() => ({ attempts: [attempt('x0-1.1.1', 1, 'RUNNING', null)] }))).toContain('I7 outcomes')
  })

  test('a job that lives though nobody wants it is found', () => {
    expect(
      found((calm) => ({
        ledger: [...calm.ledger, ...jobLines(9, 'x1-2.1.1', 8_000, 0, null)],
        attempts: [...calm.attempts, attempt('x1-2.1.1', 9, 'RUNNING', null)],
      })),
    ).toEqual(['I4 convergence'])
  })
})

describe('commands', () => {
  test('an acknowledged command that left no trace is found in both places', () => {
    expect(
      found((calm) => ({
        events: calm.events.filter(({ actor }) => actor !== 'chaos-0.1'),
        workflows: calm.workflows.map((view) => ({
          ...view,
          tokens: view.tokens.filter((token) => token !== 'chaos-0.1'),
        })),
      })),
    ).toEqual(['I13 audit', 'I3 acknowledged'])
  })

  test('a wish for what is wished for already leaves no trace, rightly', () => {
    expect(
      found((calm) => ({ commands: [...calm.commands, command('chaos-3.3', 'state', 'RUNNING', 4_000)] })),
    ).toEqual([])
  })

  test('a wish that was carried out twice, and one that was refused and done, are found', () => {
    expect(
      found((calm) => ({ events: [...calm.events, event(1, 5, 'edited', 'chaos-0.1', 6_100)] })),
    ).toEqual(['I13 audit'])
    expect(
      found((calm) => ({
        commands: [...calm.commands, command('chaos-4.4', 'flags', 'chaos-4.4', 3_000, 'fail')],
        events: [...calm.events, event(1, 5, 'edited', 'chaos-4.4', 3_010)],
      })),
    ).toEqual(['I13 audit'])
  })

  test('a command whose answer never came may have happened, and may not', () => {
    const unknown = command('chaos-5.5', 'flags', 'chaos-5.5', 3_000, 'info')
    const commands = (calm: Calm) => ({ commands: [...calm.commands, unknown] })
    expect(found(commands)).toEqual([])
    expect(
      found((calm) => ({
        ...commands(calm),
        events: [...calm.events, event(1, 5, 'edited', 'chaos-5.5', 9_000)],
      })),
    ).toEqual([])
  })

  test('gaps in the event log and in the generations are found', () => {
    expect(found((calm) => ({ events: calm.events.filter(({ kind }) => kind !== 'ended') }))).toEqual([
      'I3 generations',
    ])
    const jump = (each: Evidence['events'][number]) =>
      each.kind === 'desired' ? { ...each, detail: { ...each.detail, generation: 2 } } : each
    expect(found((calm) => ({ events: calm.events.map(jump) }))).toEqual(['I3 generations'])
  })

  test('a desired state and flags that nobody said last are found', () => {
    const overwritten = (calm: Calm): Partial<Evidence> => ({
      commands: [
        ...calm.commands,
        command('chaos-6.6', 'state', 'TERMINATED', 8_000),
        command('chaos-6.7', 'flags', 'chaos-6.7', 8_100),
      ],
      events: [
        ...calm.events,
        event(1, 5, 'desired', 'chaos-6.6', 8_010, { to: 'TERMINATED', generation: 2 }),
        event(1, 6, 'edited', 'chaos-6.7', 8_110),
      ],
      workflows: calm.workflows.map((view) => ({
        ...view,
        tokens: [...view.tokens, 'chaos-6.6', 'chaos-6.7'],
      })),
    })
    const calm = calmEvidence()
    const violations = check({ ...calm, ...overwritten(calm) })
    expect(violations.map(({ text }) => text)).toEqual([
      'the desired state is RUNNING in the end, which nobody said last',
      'the mark in the flags is chaos-0.1 in the end, which nobody said last',
    ])
  })

  test('an id that was given twice, and a creation without a row, are found', () => {
    expect(
      found((calm) => ({
        commands: [...calm.commands, command('chaos-7.7', 'create', 'STOPPED', 9_000, 'info')],
      })),
    ).toEqual(['I9 identity'])
    expect(
      found((calm) => ({
        commands: [
          ...calm.commands,
          { ...command('chaos-7.8', 'create', 'STOPPED', 9_000), experimentId: 99 },
        ],
        events: [...calm.events, event(99, 1, 'created', 'chaos-7.8', 9_010)],
      })),
    ).toEqual(['I3 acknowledged'])
  })
})

describe('how things stand in the end', () => {
  const changed = (
    calm: Calm,
    change: (view: Calm['workflows'][number]) => Partial<Calm['workflows'][number]>,
  ) => ({
    workflows: calm.workflows.map((view) => (view.experimentId === 1 ? { ...view, ...change(view) } : view)),
  })

  test.each([
    ['name', { name: 'other' }],
    ['desired_state', { desired_state: 'STOPPED' }],
    ['run', { run: 2 }],
    ['job_id', { job_id: null }],
  ])('a stale projection is found by its %s', (_, stale) => {
    expect(
      found(({ experiments: [first, ...others] }) => ({ experiments: [{ ...first!, ...stale }, ...others] })),
    ).toEqual(['I8 projection'])
  })

  test('an attempt that the tables do not know is found', () => {
    expect(found(() => ({ attempts: [] }))).toEqual(['orphans', 'I8 projection'])
  })

  test('a wish that is not carried out is found', () => {
    expect(
      found((calm) => ({
        ...changed(calm, ({ state }) => ({ state: { ...state!, run: 2 } })),
        experiments: calm.experiments.map((row) => (row.id === 1 ? { ...row, run: 2 } : row)),
      })),
    ).toEqual(['I4 convergence'])
  })

  test('workflows that are wedged, gone, failed or left over are found', () => {
    expect(found((calm) => changed(calm, () => ({ taskTries: 7 })))).toEqual(['I11 wedge'])
    expect(found((calm) => changed(calm, () => ({ taskFailures: ['event 9'] })))).toEqual(['I11 wedge'])
    expect(found((calm) => changed(calm, () => ({ state: null, status: 'RUNNING, no answer' })))).toEqual([
      'I11 wedge',
    ])
    expect(found((calm) => changed(calm, () => ({ state: null, status: 'ABSENT' })))).toEqual([
      'I4 convergence',
    ])
    expect(
      found((calm) => ({
        workflows: calm.workflows.map((view) => ({
          ...view,
          status: view.experimentId === 2 ? 'RUNNING' : view.status,
        })),
      })),
    ).toContain('I4 convergence')
  })

  test('files that are left open and memory that is not given back are found', () => {
    const grown = { process: 'api-1', before: { files: 30, residentMiB: 100 } }
    expect(found(() => ({ holdings: [{ ...grown, after: { files: 99, residentMiB: 100 } }] }))).toEqual([
      'holdings',
    ])
    expect(found(() => ({ holdings: [{ ...grown, after: { files: 30, residentMiB: 900 } }] }))).toEqual([
      'holdings',
    ])
  })

  test('tables that go back while it runs are found', () => {
    const watch = new TableWatch()
    const key = 'x0-1.1.1 job 1'
    const look = (revision: number, ending: string) =>
      watch.take({
        revisions: [{ id: 1, revision, events: 4 }],
        endings: [{ key, experiment: 1, ending }],
        ok_at: new Date(1_000),
      })
    look(3, 'CANCELLED cancelled')
    look(4, 'CANCELLED cancelled')
    expect(watch.reverted).toEqual([])
    look(2, 'SUCCEEDED succeeded')
    expect(watch.reverted.map(({ text }) => text)).toEqual([
      expect.stringContaining('from revision 4 with 4 events to 2'),
      expect.stringContaining('was CANCELLED cancelled, and is SUCCEEDED succeeded later'),
    ])
    expect(found(() => ({ reverted: watch.reverted }))).toEqual(['I8 projection', 'I7 outcomes'])
    expect(watch.looks).toEqual([1_000])
  })
})
