import { availableParallelism } from 'node:os'
import { afterAll, describe, expect, test } from 'vitest'
import { Copy } from './copy.ts'
import type { Verdict } from './judge.ts'
import type { Edit, Mutant } from './mutant.ts'
import { MUTANTS } from './mutants.ts'

/** Each copy of the sources has one mutant at a time. */
const copies = Array.from({ length: Math.min(2, availableParallelism()) }, () => new Copy())
const waiting: Array<(copy: Copy) => void> = []
const idle = [...copies]
afterAll(() => {
  for (const copy of copies) copy.dispose()
})

async function withCopy<T>(work: (copy: Copy) => Promise<T>): Promise<T> {
  const copy = idle.pop() ?? (await new Promise<Copy>((resolve) => waiting.push(resolve)))
  try {
    return await work(copy)
  } finally {
    const next = waiting.shift()
    if (next) next(copy)
    else idle.push(copy)
  }
}

const verdict = (mutant: Mutant): Promise<Verdict> => withCopy((copy) => copy.verdict(mutant))

const files = new Map<string, Promise<ReadonlyMap<string, Verdict>>>()

/** What the test says while nothing is changed. All that are needed of a file are asked at once. */
async function unchanged({ test: [file, title] }: Mutant): Promise<Verdict | undefined> {
  const tests = MUTANTS.filter((mutant) => mutant.test[0] === file)
  const asked = files.get(file) ?? withCopy((copy) => copy.unchanged(tests))
  files.set(file, asked)
  return (await asked).get(title)
}

const sayEdit = ({ file, text }: Edit): string => `${file}: ${text.split('\n', 1)[0]?.slice(0, 60)}`
const named = MUTANTS.map((mutant): [string, Mutant] => [
  `${mutant.protection}, ${mutant.edits.map(sayEdit).join('; ')}`,
  mutant,
])

describe.concurrent('without', () => {
  test.for(named)('%s', { timeout: 180_000 }, async ([, mutant], { skip }) => {
    const [file, title] = mutant.test
    const before = await unchanged(mutant)
    if (before?.kind === 'skipped') skip(`"${title}" does not run on this machine`)
    expect(before, `"${title}" of ${file} must pass while nothing is changed`).toEqual({ kind: 'passed' })
    const told = await verdict(mutant)
    expect(told.kind, 'why' in told ? told.why : `"${title}" of ${file} did not notice`).toBe('failed')
  })
})

describe.concurrent('the check itself', () => {
  const status = 'core/job-status.ts'
  const done = `scheduleState === 'DONE' ||`
  const ofStatus = [
    'test/core/job-status.test.ts',
    'a job that has ended with schedule state DONE is cleaned up: true',
  ] as const
  const workflow = 'workflows/experiment.ts'
  const ofWorkflow = [
    'test/activations/experiment.test.ts',
    'a signal of an unknown name is counted',
  ] as const

  test.each<[string, Mutant['test'], Edit, Verdict['kind']]>([
    [
      'calls what nobody notices so',
      ofStatus,
      { file: status, text: done, becomes: `'DONE' === scheduleState ||` },
      'passed',
    ],
    ['calls what is noticed so', ofStatus, { file: status, text: done, becomes: '' }, 'failed'],
    [
      'does not take for noticed what cannot be read',
      ofStatus,
      { file: status, text: done, becomes: '((' },
      'broken',
    ],
    [
      'does not take for noticed what names nothing',
      ofStatus,
      { file: status, text: done, becomes: 'nothing.of.that.name ||' },
      'broken',
    ],
    [
      'does not take for noticed what cannot be bundled',
      ofWorkflow,
      { file: workflow, text: 'scope.cancel()', becomes: '((' },
      'broken',
    ],
    [
      'does not take for noticed a test that is not there',
      [ofStatus[0], 'no such test'],
      { file: status, text: done, becomes: '' },
      'broken',
    ],
  ])('%s', { timeout: 120_000 }, async (_what, by, edit, kind) => {
    const told = await verdict({ protection: 'none', edits: [edit], test: by, project: 'unit' })
    expect(told).toMatchObject({ kind })
  })
})
