import { mkdtempSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findTemporal } from '../../local/temporal-binary.ts'
import { SkyDeck } from '../../sdk/client.ts'
import { viewWorkflows } from './histories.ts'
import { Puppets } from './puppet.ts'
import { Topology } from './topology.ts'

const WAIT = { timeoutMs: 60_000 }

/** After this long without a poll Temporal no longer tries the cache of a worker that is gone. */
const STICKY_GONE_MS = 12_000

let home: string
let puppets: Puppets
let topology: Topology

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'skydeck-chaos-'))
  puppets = new Puppets(home)
  const bin = process.env['SKYDECK_TEMPORAL_BIN'] ?? null
  const binary = await findTemporal({ bin, home: join(homedir(), '.skydeck'), log: () => {} })
  topology = await Topology.start(puppets, { home, binary, slots: 4 })
})

afterAll(async () => {
  await topology?.close()
  await puppets.stop()
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
})

const replaceWorkers = async (): Promise<void> => {
  for (const name of ['worker-1', 'worker-2'] as const) topology.puppet(name).kill(500)
  await sleep(STICKY_GONE_MS)
  await topology.untilReady()
}

/**
 * A worker without a cache is given an update together with the workflow task before it, when that one had nothing
 * to do; later the two are replayed apart. So the order of commands must not depend on whether the answer of the
 * projection comes before the update or with it.
 */
test('a wish that a fresh worker takes can be replayed by the next one', { timeout: 240_000 }, async () => {
  const sdk = new SkyDeck({ url: [...topology.apiUrls.values()][0]!, actor: 'test' })
  const { id } = await sdk.create({ name: 'cold', command: 'true' })
  await sdk.setDesiredState(id, 'RUNNING')
  await sdk.waitFor(id, 'succeeded', WAIT)
  const workflow = topology.temporal.workflow.getHandle(`experiment-${id}`)
  await sleep(3_000)
  const thawed = topology.puppet('postgres').freeze(4_000)
  await workflow.executeUpdate('setFlags', { args: [{ a: 1 }] })
  await sleep(1_500)
  // News that change nothing, while the projection waits for Postgres: two workflow tasks in a row do nothing.
  await workflow.signal('observe', [])
  await thawed
  await sleep(3_000)
  await replaceWorkers()
  await workflow.executeUpdate('setDesiredState', { args: ['TERMINATED'] })
  await sdk.waitFor(id, 'terminated', WAIT)
  await replaceWorkers()
  const [view] = await viewWorkflows(topology.temporal, [id])
  expect(view).toMatchObject({ status: 'RUNNING', state: { desired: { state: 'TERMINATED' } } })
  expect(view?.taskFailures).toEqual([])
})
