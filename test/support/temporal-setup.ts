import { homedir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { findTemporal } from '../../local/temporal-binary.ts'

/** Finds or gets the Temporal program once, so that no test has to. */
export async function setup(project: TestProject): Promise<void> {
  const home = join(homedir(), '.skydeck')
  const bin = process.env['SKYDECK_TEMPORAL_BIN'] ?? null
  // oxlint-disable-next-line no-console -- getting it can take minutes, and silence would look like a hang
  project.provide('temporalBin', await findTemporal({ bin, home, log: (line) => console.log(line) }))
}

declare module 'vitest' {
  interface ProvidedContext {
    temporalBin: string
  }
}
