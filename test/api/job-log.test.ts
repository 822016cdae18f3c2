import { expect, test } from 'vitest'
import { openLog } from '../../api/job-log.ts'
import type { SkyPilot } from '../../skypilot/client.ts'

const asked: unknown[] = []
const tailLogs = (where: string) => (options: Record<string, unknown>) => {
  const { signal: _signal, ...said } = options
  asked.push([where, said])
  return Promise.resolve([])
}
const skypilot = {
  jobs: { tailLogs: tailLogs('jobs') },
  clusters: { tailLogs: tailLogs('clusters') },
} as unknown as SkyPilot

test('a log is asked for where its job runs, and the id of a cluster is not taken for a managed one', async () => {
  const { signal } = new AbortController()
  await openLog(skypilot, { jobId: 1, clusterName: null }, { follow: true, signal })
  await openLog(skypilot, { jobId: 1, clusterName: 'exp-7' }, { follow: false, tail: 5, signal })
  expect(asked).toEqual([
    ['jobs', { jobId: 1, follow: true }],
    ['clusters', { name: 'exp-7', jobId: 1, follow: false, tail: 5 }],
  ])
})
