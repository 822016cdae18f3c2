/** What one scenario found in one repetition, and the baseline beside it in the same minute. */
export interface Pair {
  value: number
  baseline: number
}

export interface Summary {
  value: number
  baseline: number
  /** Null where the baseline is nothing. */
  ratio: number | null
  /** The lowest and the highest ratio of the pairs. */
  spread: { low: number; high: number } | null
  pairs: number
}

/** A headline figure, ready to be printed. */
export interface Result extends Summary {
  id: string
  /** What the value is, in a few words. */
  what: string
  unit: string
  /** What the baseline is, in a few words. */
  against: string
  /** How many experiments took part. */
  n: number
  /** The figure that was aimed at, as performance.md words it. */
  goal: string
  /** Everything else that was seen on the way. */
  more: Record<string, number | string>
  /** Load average of the last minute, at the start and at the end. */
  load: readonly [number, number]
  /** The share of the machine, from 0 to 1, that processes outside of the bench took meanwhile. */
  foreignCpu: number
}

/** The value in the middle. @throws RangeError for no values */
export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** The value below which a share `q` of all lies, between neighbours by their distance. @throws RangeError for no values */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const below = sorted[Math.floor(at)]
  const above = sorted[Math.ceil(at)]
  if (below === undefined || above === undefined)
    throw new RangeError('no values, so nothing lies in their middle')
  return below + (above - below) * (at - Math.floor(at))
}

/**
 * Brings pairs down to one figure. The ratio is the median of the ratios and not the ratio of the medians: each pair
 * was measured in one go, so what slowed the machine slowed both its halves.
 * @throws RangeError for no pairs
 */
export function summarize(pairs: readonly Pair[]): Summary {
  const ratios = pairs.filter(({ baseline }) => baseline !== 0).map(({ value, baseline }) => value / baseline)
  const isKnown = ratios.length === pairs.length
  return {
    value: median(pairs.map(({ value }) => value)),
    baseline: median(pairs.map(({ baseline }) => baseline)),
    ratio: isKnown ? median(ratios) : null,
    spread: isKnown ? { low: Math.min(...ratios), high: Math.max(...ratios) } : null,
    pairs: pairs.length,
  }
}

/** By how much y grows for each step of x: the line of least squares. @throws RangeError when all x are the same */
export function slope(points: ReadonlyArray<readonly [x: number, y: number]>): number {
  const mean = (of: readonly number[]) => of.reduce((sum, each) => sum + each, 0) / of.length
  const meanX = mean(points.map(([x]) => x))
  const meanY = mean(points.map(([, y]) => y))
  let above = 0
  let below = 0
  for (const [x, y] of points) {
    above += (x - meanX) * (y - meanY)
    below += (x - meanX) ** 2
  }
  if (points.length === 0 || below === 0) throw new RangeError('a slope needs two different places')
  return above / below
}

/** Four digits that matter: what lies behind them is noise. */
export const round = (value: number): number => (value === 0 ? 0 : Number(value.toPrecision(4)))

/** The result as one line of JSON, for programs. */
export const jsonLine = (result: Result): string =>
  JSON.stringify(result, (_key, value: unknown) => (typeof value === 'number' ? round(value) : value))

const COLUMNS = ['id', 'what', 'n', 'value', 'baseline', 'ratio', 'spread', 'goal'] as const

/** The results as a table for people; what else was seen stands below it. */
export function table(results: readonly Result[]): string {
  const rows = [[...COLUMNS], ...results.map(cells)]
  const widths = COLUMNS.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [...lines, '', ...results.map(footnote), ''].join('\n')
}

function cells(result: Result): string[] {
  const { ratio, spread, unit } = result
  return [
    result.id,
    result.what,
    String(result.n),
    `${round(result.value)} ${unit}`,
    `${round(result.baseline)} ${unit}`,
    ratio === null ? '-' : String(round(ratio)),
    spread === null ? '-' : `${round(spread.low)} to ${round(spread.high)} (${result.pairs})`,
    result.goal,
  ]
}

function footnote({ id, against, more, load, foreignCpu }: Result): string {
  const seen = Object.entries(more).map(
    ([name, value]) => `${name} ${typeof value === 'number' ? round(value) : value}`,
  )
  const machine = `load ${load.map(round).join(' to ')}, others took ${Math.round(foreignCpu * 100)} % of the machine`
  return `${id}: against ${against}; ${[...seen, machine].join('; ')}`
}
