import { parseArgs } from 'node:util'
import { repeating } from './repeat.ts'
import { World } from './world.ts'

/** Runs one seed by hand: `node test/simulation/main.ts --seed 7 --days 30 --experiments 200`. */
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1' },
    days: { type: 'string' },
    hours: { type: 'string', default: '6' },
    experiments: { type: 'string', default: '6' },
    wishes: { type: 'string', default: '300' },
    look: { type: 'string', default: '10' },
    trace: { type: 'string', default: '' },
  },
})

for (let seed = Number(values.seed); seed < Number(values.seed) + Number(values.seeds); seed += 1) {
  const beganMs = Date.now()
  const plan = {
    seed,
    experiments: Number(values.experiments),
    hours: values.days === undefined ? Number(values.hours) : Number(values.days) * 24,
    wishMeanMs: Number(values.wishes) * 1_000,
    lookEveryMs: Number(values.look) * 1_000,
  }
  const report = new World(plan).run()
  const { fingerprint, events, violations, posts, jobs, fenced, overlaps, recent } = report
  const longest = Math.max(0, ...overlaps)
  process.stdout.write(
    `seed ${seed}: ${events} events, ${posts} launches, ${jobs} jobs, ${fenced} fenced, ${overlaps.length} overlaps (longest ${longest} ms), ${violations.length} violations, ${Date.now() - beganMs} ms, ${fingerprint.slice(0, 12)}\n`,
  )
  for (const violation of violations) process.stdout.write(`  ${violation}\n`)
  if (values.trace !== '') {
    const wanted = recent.filter((line) => line.includes(values.trace) || line.includes('VIOLATION'))
    process.stdout.write(`${wanted.join('\n')}\n`)
  }
  if (violations.length === 0) continue
  process.stdout.write(`  repeat it: ${repeating(plan)}\n`)
  process.exitCode = 1
}
