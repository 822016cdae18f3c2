import { type Mutant, mutantsOf } from './mutant.ts'

const projection = mutantsOf('store/project.ts', 'test/store/store.test.ts', 'stack')
const lease = mutantsOf('store/leases.ts', 'test/store/control.test.ts', 'stack')

/** The statements, on a real Postgres. */
export const TABLE_MUTANTS: readonly Mutant[] = [
  projection(
    'a row never goes back',
    'where experiment.revision < excluded.revision',
    '',
    'an older revision never replaces a newer one, in whatever order they come',
  ),
  projection(
    'a row never goes back',
    'where attempt.revision < excluded.revision',
    '',
    'what ended stays ended when an old look comes late',
  ),
  mutantsOf('store/sources.ts', 'test/store/store.test.ts', 'stack')(
    'no time is told that nobody knows',
    `and phase = 'active'`,
    '',
    'a cluster that this look-out never heard is silent since the last good look, or since its job was made',
  ),
  mutantsOf('store/migrations/0004_numbers.sql', 'test/store/store.test.ts', 'stack')(
    'a number is given once',
    'floor(random() * 900000)::integer',
    '0',
    'a new desk counts from a number of its own, and one that has experiments counts on',
  ),
  mutantsOf('store/migrations/0004_numbers.sql', 'test/store/store.test.ts', 'stack')(
    'a number is given once',
    'where not exists (select from experiment)',
    '',
    'a new desk counts from a number of its own, and one that has experiments counts on',
  ),
  lease(
    'the fence',
    'where lease.holder = excluded.holder',
    '',
    'goes to the first that asks, again to the same, and to no other',
  ),
  mutantsOf('api/fence.ts', 'test/api/control.test.ts')(
    'the fence',
    `if (taken === 'held') throw`,
    'if (false) throw',
    'lets the first job of an attempt in, and again, and no other',
  ),
  mutantsOf('api/fence.ts', 'test/api/control.test.ts')(
    'the fence',
    '!isFenceToken(fenceSecret, of, token)',
    'false',
    'knows a token only for the attempt that it was made for',
  ),
]
