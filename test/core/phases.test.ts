import { expect, test } from 'vitest'
import { PHASES } from '../../core/explain.ts'
import { isLive, isOver, mayRun, takesRunAgain } from '../../core/phases.ts'

test('what is on machines, is about to be, is over and can be run again', () => {
  expect(PHASES.filter(isLive)).toEqual([
    'starting',
    'waiting',
    'running',
    'recovering',
    'stopping',
    'finishing',
  ])
  expect(PHASES.filter((phase) => mayRun(phase) && !isLive(phase))).toEqual(['queued'])
  expect(PHASES.filter(isOver)).toEqual(['succeeded', 'failed', 'lost'])
  expect(PHASES.filter((phase) => takesRunAgain(phase) && !isOver(phase))).toEqual([
    'backoff',
    'stopping',
    'finishing',
  ])
})
