import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { INVARIANTS } from './evidence.ts'
import { type Report, sayReport } from './report.ts'
import { runChaos } from './run.ts'

/** The same faults in every run of the tests; other seeds are for `npm run chaos`. */
const SEED = 20_261_124
const MINUTES = 3

const say = (line: string): void => void process.stdout.write(`${line}\n`)

let report: Report

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), 'skydeck-chaos-report-'))
  const size = { experiments: 45, clients: 10, perSecond: 4 }
  const signal = new AbortController().signal
  report = await runChaos({ seed: SEED, minutes: MINUTES, ...size, folder, say, signal })
  say(`\n${sayReport(report)}\n`)
  if (report.violations.length === 0) rmSync(folder, { recursive: true })
  else say(`the proof of what was wrong is in ${folder}`)
})

describe(`three minutes of chaos with seed ${SEED}`, () => {
  test.each(Object.entries(INVARIANTS))('%s: %s', (invariant) => {
    const violations = report.violations.filter((violation) => violation.invariant === invariant)
    expect(violations).toEqual([])
  })

  test('it was chaos indeed: faults, commands and jobs came in numbers', () => {
    const faults = Object.values(report.faults).reduce((sum, count) => sum + count, 0)
    expect(faults).toBeGreaterThan(20)
    expect(report.commands.ok).toBeGreaterThan(100)
    expect(report.jobs.total).toBeGreaterThan(30)
  })
})
