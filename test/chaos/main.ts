import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { sayReport } from './report.ts'
import { runChaos } from './run.ts'

// Everything that can go wrong, on real processes, decided by a seed:
//   npm run chaos -- --minutes 3 --seed 7

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    experiments: { type: 'string', default: '45' },
    clients: { type: 'string', default: '10' },
    'per-second': { type: 'string', default: '4' },
    /** Where the report and the proof of violations go; a new folder unless told. */
    report: { type: 'string' },
  },
})

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => stopping.abort(new Error(`stopped by ${signal}`)))

const startedMs = Date.now()
const say = (line: string): void =>
  void process.stdout.write(`${((Date.now() - startedMs) / 1_000).toFixed(1).padStart(7)} s  ${line}\n`)

const folder = resolve(values.report ?? mkdtempSync(join(tmpdir(), 'skydeck-chaos-report-')))
const report = await runChaos({
  seed: Number(values.seed),
  minutes: Number(values.minutes),
  experiments: Number(values.experiments),
  clients: Number(values.clients),
  perSecond: Number(values['per-second']),
  folder,
  say,
  signal: stopping.signal,
})
process.stdout.write(`\n${sayReport(report)}\nreport       ${folder}\n`)
process.exitCode = report.violations.length === 0 ? 0 : 1
