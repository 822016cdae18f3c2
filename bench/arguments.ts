import { parseArgs } from 'node:util'

export interface Options {
  /** How many experiments the large scenarios use at most. */
  n: number
  /** How many pairs of measurement and baseline. */
  pairs: number
  /** How often the look-out of the large scenarios asks SkyPilot. */
  pollIntervalMs: number
  /** For how long resting experiments are watched. */
  watchMs: number
}

const USAGE = `usage: npm run bench -- [ids] [--n 300] [--pairs 5] [--interval 3] [--watch 60] [--out file]
  --n         experiments of the large scenarios (10 to 10000)
  --pairs     measurements, each with its baseline beside it
  --interval  seconds between two looks at SkyPilot in the large scenarios
  --watch     seconds for which P4 watches resting experiments
  --out       a file that the JSON lines are added to
  ids         `

/** All scenarios with so many experiments take about a quarter of an hour on two cores. */
const N = 300

/** A look takes longer the more jobs are live, and must not show in the rate: so the looks are further apart then. */
function intervalS(n: number): number {
  if (n <= N) return 3
  return n <= 1_000 ? 5 : 10
}

export interface Arguments {
  /** The scenarios that were chosen, all without a choice, in the order in which they are known. */
  ids: string[]
  options: Options
  out: string | undefined
}

/** Reads the command line. @throws RangeError that says how it is used */
export function readArguments(args: readonly string[], known: readonly string[]): Arguments {
  const usage = USAGE + known.join(' ')
  const { values, positionals } = parsed(args, usage)
  const whole = (name: 'n' | 'pairs' | 'interval' | 'watch', fallback: number, min: number, max: number) => {
    const value = Number(values[name] ?? fallback)
    if (Number.isInteger(value) && value >= min && value <= max) return value
    throw new RangeError(`--${name} must be a whole number from ${min} to ${max}\n${usage}`)
  }
  const asked = positionals.map((each) => each.toUpperCase())
  const unknown = asked.filter((id) => !known.includes(id))
  if (unknown.length > 0) throw new RangeError(`there is no scenario ${unknown.join(', ')}\n${usage}`)
  const n = whole('n', N, 10, 10_000)
  return {
    ids: known.filter((id) => asked.length === 0 || asked.includes(id)),
    options: {
      n,
      pairs: whole('pairs', 5, 1, 50),
      pollIntervalMs: whole('interval', intervalS(n), 1, 60) * 1_000,
      watchMs: whole('watch', 60, 1, 86_400) * 1_000,
    },
    out: values.out,
  }
}

function parsed(args: readonly string[], usage: string) {
  const text = { type: 'string' } as const
  const options = { n: text, pairs: text, interval: text, watch: text, out: text }
  try {
    return parseArgs({ args: [...args], allowPositionals: true, options })
  } catch (error) {
    throw new RangeError(`${error instanceof Error ? error.message : String(error)}\n${usage}`, {
      cause: error,
    })
  }
}
