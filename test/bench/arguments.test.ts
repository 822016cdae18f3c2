import { expect, test } from 'vitest'
import { readArguments } from '../../bench/arguments.ts'

const KNOWN = ['P1', 'P12', 'P6', 'P9']
const read = (...args: string[]) => readArguments(args, KNOWN)

test('without a choice every scenario runs', () => {
  expect(read('--n', '100').ids).toEqual(KNOWN)
})

test('only what was chosen runs, in the order of the scenarios and in any case', () => {
  expect(read('p9', 'P12').ids).toEqual(['P12', 'P9'])
  expect(read('P1').ids).toEqual(['P1'])
})

test('a scenario that does not exist is named, with those that do', () => {
  expect(() => read('P2', 'P6')).toThrow(/no scenario P2\n[^]*P1 P12 P6 P9/)
})

test('the more experiments, the further apart are the looks, unless the interval is said', () => {
  expect(read().options).toEqual({ n: 300, pairs: 5, pollIntervalMs: 3_000, watchMs: 60_000 })
  expect(read('--n', '1000').options.pollIntervalMs).toBe(5_000)
  expect(read('--n', '10000').options.pollIntervalMs).toBe(10_000)
  expect(read('--n', '10000', '--interval', '2').options.pollIntervalMs).toBe(2_000)
})

test.each([
  ['--n', '9'],
  ['--n', '10001'],
  ['--pairs', '1.5'],
  ['--watch', 'long'],
  ['--size', '3'],
])('%s %s is refused with the usage', (name, value) => {
  expect(() => read(name, value)).toThrow(/usage: npm run bench/)
})
