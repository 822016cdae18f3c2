import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type Evidence, LedgerLine, type WitnessLine } from './evidence.ts'
import { viewWorkflows } from './histories.ts'
import { readTables } from './tables.ts'
import type { Topology } from './topology.ts'

/** What can be asked for at one moment; the rest of the evidence was written down while it ran. */
export type Gathered = Pick<
  Evidence,
  'ledger' | 'witness' | 'experiments' | 'attempts' | 'events' | 'workflows'
>

/** Asks everybody how things stand. @throws Error when somebody does not answer */
export async function gather(topology: Topology): Promise<Gathered> {
  const { databaseUrl, skypilotUrl } = topology.servers
  const ids = (await readTables(databaseUrl)).experiments.map(({ id }) => id)
  const workflows = await viewWorkflows(topology.temporal, ids)
  // The tables after the workflows, and the ledger last: what is behind is what lags, not what was asked too early.
  const tables = await readTables(databaseUrl)
  const answer = await fetch(`${skypilotUrl}/local/ledger`, { signal: AbortSignal.timeout(30_000) })
  const ledger = z.array(LedgerLine).parse(await answer.json())
  return { ...tables, workflows, ledger, witness: readWitness(topology.witnessFolder) }
}

function readWitness(folder: string): WitnessLine[] {
  return readdirSync(folder).flatMap((file) =>
    readFileSync(join(folder, file), 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line): WitnessLine => {
        const [what, jobId, atUs] = line.split(' ')
        return {
          experimentId: Number(file),
          jobId: Number(jobId),
          what: what === 'begin' ? 'begin' : 'end',
          atMs: Math.round(Number(atUs) / 1_000),
        }
      }),
  )
}
