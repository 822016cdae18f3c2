import type { Plan } from './world.ts'

/** The command that runs the world of this plan again, without what a test has switched off in it. */
export function repeating({ seed, experiments, hours, wishMeanMs, lookEveryMs }: Plan): string {
  const options = { seed, experiments, hours, wishes: wishMeanMs / 1_000, look: lookEveryMs / 1_000 }
  const given = Object.entries(options).map(([name, value]) => `--${name} ${value}`)
  return `node test/simulation/main.ts ${given.join(' ')}`
}
