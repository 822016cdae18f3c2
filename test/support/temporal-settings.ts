import { chmodSync, mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'

/** Temporal's own program with other limits than it comes with, in a folder that is to be removed with the test. */
export function temporalWith(settings: readonly string[]): { folder: string; bin: string } {
  const folder = mkdtempSync(join(tmpdir(), 'skydeck-temporal-'))
  const bin = join(folder, 'temporal')
  const more = settings.map((setting) => `--dynamic-config-value ${setting}`).join(' ')
  const real = JSON.stringify(inject('temporalBin'))
  writeFileSync(
    bin,
    `#!/bin/sh\nif [ "$1 $2" = "server start-dev" ]; then exec ${real} "$@" ${more}; fi\nexec ${real} "$@"\n`,
  )
  chmodSync(bin, 0o755)
  return { folder, bin }
}
