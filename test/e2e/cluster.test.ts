import type { Client } from '@temporalio/client'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import type { Experiment } from '../../core/experiment.ts'
import { processesWith, TestDesk } from '../support/desk.ts'

let desk: TestDesk
let temporal: Client
beforeAll(async () => {
  desk = await TestDesk.create()
  temporal = await desk.temporal()
})
afterAll(async () => {
  await temporal?.connection.close()
  await desk?.dispose()
})

const alive = (mark: string): number => processesWith(mark).length
const WAIT = { timeoutMs: 90_000 }
const WAIT_POLL = { timeout: 90_000, interval: 250 }

const handleOf = (id: number) => temporal.workflow.getHandle(`experiment-${id}`)
const stateOf = (id: number): Promise<Experiment> => handleOf(id).query('getState')

/** What SkyPilot itself shows of a cluster; undefined when it is not there. */
async function clusterStatus(name: string): Promise<string | undefined> {
  const ledger = await desk.ledger()
  return ledger.findLast((entry) => entry.name === name && entry.effect.startsWith('cluster-'))?.effect
}

/** How each launch was made, as history has it. */
async function launchesOf(id: number): Promise<string[]> {
  const { events } = await handleOf(id).fetchHistory()
  return (events ?? []).flatMap((event) => {
    const scheduled = event.activityTaskScheduledEventAttributes
    if (scheduled?.activityType?.name !== 'requestLaunch') return []
    const data = scheduled.input?.payloads?.[0]?.data ?? new Uint8Array()
    const order = JSON.parse(Buffer.from(data).toString()) as { how: string }
    return [order.how]
  })
}

/** An experiment on a cluster of its own that sleeps under a mark. */
async function onCluster(name: string, command?: string) {
  // oxlint-disable-next-line no-console -- a story that came out wrong can seldom be repeated
  onTestFailed(async () => console.log(await desk.story()))
  const mark = `mark-${name}-${Date.now()}`
  const given = command ?? `exec -a ${mark} sleep 600`
  const { id } = await desk.sdk.create({ name, command: given })
  await handleOf(id).executeUpdate('edit', { args: [{ spec: { executor: 'cluster' } }] })
  return { id, mark, cluster: `${name}-${id}` }
}

describe('an experiment on a cluster of its own', () => {
  test(
    'starts, stops with its disk kept, starts again on it, and is taken down',
    { timeout: 240_000 },
    async () => {
      const { id, mark, cluster } = await onCluster('whole')
      await desk.sdk.setDesiredState(id, 'RUNNING')
      await desk.sdk.waitFor(id, 'running', WAIT)
      expect(alive(mark)).toBe(1)
      await desk.sdk.setDesiredState(id, 'STOPPED')
      await desk.sdk.waitFor(id, 'stopped', WAIT)
      expect(alive(mark)).toBe(0)
      expect(await clusterStatus(cluster)).toBe('cluster-stopped')
      expect((await stateOf(id)).cluster).toMatchObject({ status: 'STOPPED' })

      await desk.sdk.setDesiredState(id, 'RUNNING')
      await desk.sdk.waitFor(id, 'running', WAIT)
      expect(alive(mark)).toBe(1)
      await desk.sdk.setDesiredState(id, 'TERMINATED')
      await desk.sdk.waitFor(id, 'terminated', WAIT)
      expect(alive(mark)).toBe(0)
      expect(await clusterStatus(cluster)).toBe('cluster-down')
      expect((await stateOf(id)).cluster).toBeNull()
      const effects = (await desk.ledger())
        .filter((entry) => entry.name === cluster)
        .map(({ effect }) => effect)
      expect(effects.filter((effect) => effect === 'cluster-created')).toHaveLength(1)
    },
  )

  test('a second run goes onto the cluster that is up, without its setup', { timeout: 240_000 }, async () => {
    const { id } = await onCluster('again', 'echo run; exit 3')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    expect(await desk.sdk.waitFor(id, 'failed', WAIT)).toMatchObject({ exit_code: 3 })
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await expect
      .poll(async () => (await stateOf(id)).attempt, WAIT_POLL)
      .toMatchObject({ run: 2, progress: { phase: 'ended' } })
    expect(await launchesOf(id)).toEqual(['cluster', 'exec'])
    await desk.sdk.setDesiredState(id, 'TERMINATED')
    await desk.sdk.waitFor(id, 'terminated', WAIT)
  })

  test('a stop during the launch leaves no machine behind', { timeout: 240_000 }, async () => {
    await desk.settings({ provisionMs: 8_000 })
    const { id, mark, cluster } = await onCluster('regretted')
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await expect.poll(() => clusterStatus(cluster), WAIT_POLL).toBe('cluster-created')
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await desk.sdk.waitFor(id, 'stopped', WAIT)
    await desk.settings({ provisionMs: 500 })
    expect(alive(mark)).toBe(0)
    expect(await clusterStatus(cluster)).toBe('cluster-down')
  })

  test(
    'one that somebody else takes down is told of, and not started again by itself',
    { timeout: 240_000 },
    async () => {
      const { id, mark, cluster } = await onCluster('taken')
      await desk.sdk.setDesiredState(id, 'RUNNING')
      await desk.sdk.waitFor(id, 'running', WAIT)
      await desk.skypilot('/down', { cluster_name: cluster })
      await desk.sdk.waitFor(id, 'failed', WAIT)
      // The job may be seen to lose its machines before its cluster is seen to be gone.
      const { headline } = await handleOf(id).query<{ headline: string }>('explain')
      expect(['drift', 'machines-failed']).toContain(headline)
      await expect.poll(async () => (await stateOf(id)).cluster, WAIT_POLL).toBeNull()
      expect(alive(mark)).toBe(0)
      expect(
        (await desk.ledger()).filter((entry) => entry.effect === 'cluster-created' && entry.name === cluster),
      ).toHaveLength(1)
    },
  )
})
