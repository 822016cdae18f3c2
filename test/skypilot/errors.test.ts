import { expect, test } from 'vitest'
import {
  CancelledError,
  InvalidError,
  NotFoundError,
  ProtocolError,
  RejectedError,
  SkyPilotError,
  TimedOutError,
  UnauthorizedError,
  UnreachableError,
} from '../../skypilot/errors.ts'

const CLASSES = [
  ['unreachable', UnreachableError],
  ['unauthorized', UnauthorizedError],
  ['rejected', RejectedError],
  ['cancelled', CancelledError],
  ['not-found', NotFoundError],
  ['timeout', TimedOutError],
  ['protocol', ProtocolError],
  ['invalid', InvalidError],
] as const

test.each(CLASSES)(
  'an error of the kind %s is of its class, however it was made, and of no other',
  (kind, Class) => {
    for (const error of [new SkyPilotError(kind, 'why'), new Class('why')]) {
      expect(error).toMatchObject({ kind, message: 'why', exceptionName: null, retryAfterMs: null })
      expect(CLASSES.filter(([, Each]) => error instanceof Each).map(([each]) => each)).toEqual([kind])
      expect(error).toBeInstanceOf(SkyPilotError)
    }
  },
)

test('nothing else is of any of the classes', () => {
  for (const [, Class] of CLASSES)
    for (const other of [new Error('x'), { kind: 'rejected' }, null]) expect(other).not.toBeInstanceOf(Class)
})

test('keeps what SkyPilot named, and why', () => {
  const cause = new Error('below')
  const error = new RejectedError('no', { exceptionName: 'ValueError', cause, retryAfterMs: 5 })
  expect(error).toMatchObject({ exceptionName: 'ValueError', cause, retryAfterMs: 5 })
})
