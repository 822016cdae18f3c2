import { describe, expect, test } from 'vitest'
import { jsonLine, median, quantile, type Result, slope, summarize, table } from '../../bench/report.ts'

const result = (given: Partial<Result> = {}): Result => ({
  id: 'P1',
  what: 'CPU of a wish',
  unit: 'ms',
  against: 'a bare update',
  n: 20,
  goal: 'at most 1.8',
  more: { 'p99 ms': 41.23456, paths: '/status 3' },
  load: [0.5, 1.25],
  foreignCpu: 0.034,
  ...summarize([{ value: 30, baseline: 20 }]),
  ...given,
})

describe('the middle of measurements', () => {
  test('is the one in the middle, whatever their order', () => {
    expect(median([9, 1, 5])).toBe(5)
  })

  test('lies between the two in the middle of an even number', () => {
    expect(median([1, 2, 4, 100])).toBe(3)
  })

  test('is refused for no measurements, because a zero would look like one', () => {
    expect(() => median([])).toThrow(RangeError)
  })

  test('a quantile lies between its neighbours by their distance', () => {
    const values = Array.from({ length: 101 }, (_, index) => index)
    expect(quantile(values, 0.99)).toBe(99)
    expect(quantile([0, 10], 0.25)).toBe(2.5)
    expect(quantile([7], 0.99)).toBe(7)
  })

  test('leaves the measurements in their order', () => {
    const values = [3, 1, 2]
    quantile(values, 0.5)
    expect(values).toEqual([3, 1, 2])
  })
})

describe('pairs', () => {
  test('give the median of the ratios, so that a slow minute slows both halves and changes nothing', () => {
    const quiet = { value: 10, baseline: 5 }
    const slow = { value: 1_000, baseline: 400 }
    const quick = { value: 8, baseline: 2 }
    expect(summarize([quiet, slow, quick])).toEqual({
      value: 10,
      baseline: 5,
      ratio: 2.5,
      spread: { low: 2, high: 4 },
      pairs: 3,
    })
  })

  test('without a baseline have no ratio, and no spread of it', () => {
    const { ratio, spread, value } = summarize([{ value: 0, baseline: 0 }])
    expect({ ratio, spread, value }).toEqual({ ratio: null, spread: null, value: 0 })
  })

  test('one baseline of nothing among others leaves no ratio that could be believed', () => {
    expect(
      summarize([
        { value: 1, baseline: 0 },
        { value: 1, baseline: 1 },
      ]).ratio,
    ).toBeNull()
  })
})

describe('the slope', () => {
  test('is that of the line through all points', () => {
    expect(
      slope([
        [0, 100],
        [100, 128],
        [200, 156],
      ]),
    ).toBeCloseTo(0.28)
    expect(
      slope([
        [1, 2],
        [2, 1],
        [3, 3],
      ]),
    ).toBeCloseTo(0.5)
  })

  test('needs two different places', () => {
    expect(() => slope([])).toThrow(RangeError)
    expect(() =>
      slope([
        [5, 1],
        [5, 2],
      ]),
    ).toThrow(RangeError)
  })
})

describe('a result', () => {
  test('is one line of JSON with four digits that matter', () => {
    const line = jsonLine(result())
    expect(line).not.toContain('\n')
    expect(JSON.parse(line)).toMatchObject({
      id: 'P1',
      ratio: 1.5,
      more: { 'p99 ms': 41.23 },
      load: [0.5, 1.25],
    })
  })

  test('stands in a table under its heading, with what else was seen below', () => {
    const [head = '', row = '', , note] = table([result()]).split('\n')
    expect(row.indexOf('CPU of a wish')).toBe(head.indexOf('what'))
    expect(row.slice(head.indexOf('ratio'))).toMatch(/^1\.5 +1\.5 to 1\.5 \(1\) +at most 1\.8$/)
    expect(note).toBe(
      'P1: against a bare update; p99 ms 41.23; paths /status 3; load 0.5 to 1.25, others took 3 % of the machine',
    )
  })

  test('says with a dash that there is no ratio', () => {
    const shown = table([result({ ratio: null, spread: null })]).split('\n')[1]
    expect(shown).toMatch(/20 ms +- +- +at most/)
  })
})
