import { appendFileSync } from 'node:fs'
import { type Options, readArguments } from './arguments.ts'
import { stopAllDesks } from './desk.ts'
import { Fleet } from './fleet.ts'
import { jsonLine, type Result, table } from './report.ts'
import type { Bench, Scenario } from './scenario.ts'
import { cacheMemory } from './scenarios/cache-memory.ts'
import { commandCost } from './scenarios/command-cost.ts'
import { idleHistory } from './scenarios/idle-history.ts'
import { launchPipeline } from './scenarios/launch-pipeline.ts'
import { signals } from './scenarios/signals.ts'
import { startStorm } from './scenarios/start-storm.ts'
import { sweepCost } from './scenarios/sweep-cost.ts'
import { takeover } from './scenarios/takeover.ts'
import { upstreamRate } from './scenarios/upstream-rate.ts'

/** In the order in which they run. Those that share the fleet follow each other, and the first of them grows it. */
const SCENARIOS: readonly Scenario[] = [
  commandCost,
  cacheMemory,
  takeover,
  launchPipeline,
  startStorm,
  upstreamRate,
  idleHistory,
  sweepCost,
  signals,
]

const say = (line: string): void => void process.stderr.write(`${line}\n`)

async function runAll(ids: readonly string[], options: Options, out: string | undefined): Promise<void> {
  let fleet: Promise<Fleet> | undefined
  const bench: Bench = {
    ...options,
    say,
    fleet: () => (fleet ??= Fleet.start(options.pollIntervalMs, say)),
  }
  const results: Result[] = []
  for (const { id, title, run } of SCENARIOS.filter((each) => ids.includes(each.id))) {
    say(`${id}: ${title}`)
    const startedAtMs = performance.now()
    for (const result of await run(bench)) {
      results.push(result)
      process.stdout.write(`${jsonLine(result)}\n`)
      if (out !== undefined) appendFileSync(out, `${jsonLine(result)}\n`)
    }
    say(`${id}: took ${Math.round((performance.now() - startedAtMs) / 1_000)} s`)
  }
  process.stdout.write(`\n${table(results)}\n`)
}

// Whatever ends the bench, no process of it may stay.
const leave = (code: number): void => void stopAllDesks().finally(() => process.exit(code))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => leave(130))
process.once('unhandledRejection', (error) => {
  say(String(error instanceof Error ? error.stack : error))
  leave(1)
})
try {
  const known = SCENARIOS.map(({ id }) => id)
  const { ids, options, out } = readArguments(process.argv.slice(2), known)
  await runAll(ids, options, out)
} catch (error) {
  say(error instanceof RangeError ? error.message : String(error instanceof Error ? error.stack : error))
  process.exitCode = 1
} finally {
  await stopAllDesks()
}
