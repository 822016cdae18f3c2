import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Evidence } from './evidence.ts'
import { historiesOf } from './histories.ts'
import { type Report, sayReport } from './report.ts'
import type { Topology } from './topology.ts'

const HISTORIES_MAX = 20

/** Writes down the report, what it was made from, and the histories of what was wrong. */
export async function keepProof(
  folder: string,
  topology: Topology,
  { home, report, evidence }: { home: string; report: Report; evidence: Evidence },
): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const write = (name: string, value: unknown): void =>
    writeFileSync(join(folder, name), JSON.stringify(value, bigintAsText, 1))
  write('report.json', report)
  writeFileSync(join(folder, 'report.txt'), `${sayReport(report)}\n`)
  write('evidence.json', evidence)
  cpSync(join(home, 'logs'), join(folder, 'logs'), { recursive: true })
  const ids = [...new Set(report.violations.flatMap(({ experimentId }) => experimentId ?? []))]
  for (const id of ids.slice(0, HISTORIES_MAX)) {
    const workflowId = id === 0 ? 'fleet' : `experiment-${id}`
    const histories = await historiesOf(topology.temporal, workflowId).catch(String)
    write(`${workflowId}.history.json`, histories)
    write(`${workflowId}.json`, {
      ledger: evidence.ledger.filter(({ name }) => name?.includes(`-${id}.`)),
      witness: evidence.witness.filter(({ experimentId }) => experimentId === id),
      commands: evidence.commands.filter(({ experimentId }) => experimentId === id),
      attempts: evidence.attempts.filter(({ experiment_id: experiment }) => experiment === id),
      events: evidence.events.filter(({ experiment_id: experiment }) => experiment === id),
      workflow: evidence.workflows.find(({ experimentId }) => experimentId === id),
    })
  }
}

const bigintAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? String(value) : value
