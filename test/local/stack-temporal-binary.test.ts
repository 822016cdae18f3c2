import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { findTemporal } from '../../local/temporal-binary.ts'

let home = ''
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'skydeck-'))
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function program(path: string, says: string, code = 0): string {
  const full = join(home, path)
  mkdirSync(dirname(full), { recursive: true })
  writeFileSync(full, `#!/bin/sh\necho "${says}"\nexit ${code}\n`)
  chmodSync(full, 0o755)
  return full
}

const search = (more: object) => ({
  bin: null,
  home,
  log: () => undefined,
  path: join(home, 'path'),
  ...more,
})

it('takes the program that was named, and no other when that one does not run', async () => {
  const named = program('mine/temporal', 'temporal version 1.5.1 (Server 1.29.1)')
  program('path/temporal', 'temporal version 1.0.0')
  expect(await findTemporal(search({ bin: named }))).toBe(named)
  const broken = program('mine/broken', 'no', 1)
  await expect(findTemporal(search({ bin: broken }))).rejects.toThrow(/SKYDECK_TEMPORAL_BIN/)
})

it('prefers PATH to the cache', async () => {
  const cached = program('bin/temporal-1.5.1', 'temporal version 1.5.1')
  expect(await findTemporal(search({}))).toBe(cached)
  const onPath = program('path/temporal', 'temporal version 1.5.1')
  expect(await findTemporal(search({}))).toBe(onPath)
})

it('passes over a program that is something else', async () => {
  program('path/temporal', 'temporal logic prover 3')
  const cached = program('bin/temporal', 'temporal version 1.5.1')
  expect(await findTemporal(search({}))).toBe(cached)
})
