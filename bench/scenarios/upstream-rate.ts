import type { Part } from '../desk.ts'
import { range } from '../experiments.ts'
import type { Fleet } from '../fleet.ts'
import type { Pair, Result } from '../report.ts'
import { noteMachine, type Scenario } from '../scenario.ts'
import { watchUsage } from '../usage.ts'

const SIZES: readonly number[] = [10, 100, 1_000, 10_000]

/** Whole rounds of the look-out that are counted at each size. */
const ROUNDS = 8

/** As many as give a spread within those rounds. */
const PARTS_OF_ROUNDS = 4

const ALL_PARTS: readonly Part[] = ['postgres', 'temporal', 'worker', 'web']

interface Rate {
  perMinute: number
  perRound: number
  bytesPerRound: number
}

/** P6: how often SkyPilot is asked while nothing happens, which must not grow with the number of experiments. */
export const upstreamRate: Scenario = {
  id: 'P6',
  title: 'how often SkyPilot is asked, by the number of experiments',
  async run(bench) {
    const fleet = await bench.fleet()
    const sizes = [...new Set([...SIZES.filter((size) => size <= bench.n), bench.n])]
    let smallest: Rate[] | undefined
    const results: Result[] = []
    for (const size of sizes) {
      await fleet.growTo(size)
      await fleet.untilQuiet()
      const note = noteMachine()
      const usage = watchUsage(fleet.desk, ALL_PARTS)
      const { rates, paths } = await count(fleet)
      const used = usage()
      smallest ??= rates
      const pairs = rates.map(({ perMinute }, index): Pair => ({
        value: perMinute,
        baseline: smallest?.[index]?.perMinute ?? 0,
      }))
      const [first] = rates
      const described = {
        id: 'P6',
        what: 'requests to SkyPilot while nothing happens',
        unit: '/min',
        against: `the same desk with ${sizes[0]} experiments`,
        n: size,
        goal: 'equal within 5 %; at most 12 /min when it looks every 10 s',
        more: {
          'of them run, and the others rest': fleet.running,
          'looks every s': fleet.pollIntervalMs / 1_000,
          'requests each look': first?.perRound ?? 0,
          'bytes each look and running experiment': (first?.bytesPerRound ?? 0) / fleet.running,
          'CPU of the whole desk % of one core': (used.cpuMs / used.tookMs) * 100,
          paths,
        },
      }
      results.push(note(described, pairs))
      bench.say(
        `  ${size}: ${rates.map(({ perMinute }) => perMinute.toFixed(2)).join(', ')} requests a minute`,
      )
    }
    return results
  },
}

async function count(fleet: Fleet): Promise<{ rates: Rate[]; paths: string }> {
  const rates: Rate[] = []
  const paths = new Map<string, number>()
  const rounds = ROUNDS / PARTS_OF_ROUNDS
  for (const _ of range(PARTS_OF_ROUNDS)) {
    const { requests, bytesOut, tookMs } = await fleet.sweeps(rounds)
    const sum = [...requests.values()].reduce((total, each) => total + each, 0)
    rates.push({
      perMinute: sum / (tookMs / 60_000),
      perRound: sum / rounds,
      bytesPerRound: bytesOut / rounds,
    })
    for (const [path, each] of requests) paths.set(path, (paths.get(path) ?? 0) + each)
  }
  return { rates, paths: [...paths].map(([path, each]) => `${path} ${each}`).join(', ') }
}
