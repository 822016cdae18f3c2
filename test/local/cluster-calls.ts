import { join } from 'node:path'
import { expect } from 'vitest'
import type { TestSkyPilot } from './skypilot-client.ts'

interface Cluster {
  name: string
  status: string
  cluster_hash: string
  autostop: number
  to_down: boolean
  init_status_reason?: string
  last_event: string
}
interface ClusterJob {
  job_id: number
  job_name: string
  status: string
  start_at: number | null
  end_at: number | null
}

/** What the tests of clusters call and wait for. */
export function clusterCalls(sky: () => TestSkyPilot) {
  const task = (run: string, more: Record<string, unknown> = {}) =>
    JSON.stringify({ run, name: 'j', ...more })
  const launchBody = (name: string, run: string, more: Record<string, unknown> = {}) => ({
    cluster_name: name,
    task: task(run),
    ...more,
  })
  const launch = (name: string, run: string, more: Record<string, unknown> = {}) =>
    sky().call<{ job_id: number | null }>('/launch', launchBody(name, run, more))
  const status = async (name: string): Promise<Cluster | undefined> =>
    (
      await sky().call<Cluster[]>('/status', {
        cluster_names: [name],
        include_handle: false,
        include_credentials: false,
      })
    )[0]
  const queue = (name: string) => sky().call<ClusterJob[]>('/queue', { cluster_name: name, all_users: true })
  const jobStatus = async (name: string, id: number) =>
    (await sky().call<Record<string, string>>('/job_status', { cluster_name: name, job_ids: [id] }))[
      String(id)
    ]
  const untilJob = (name: string, id: number, wanted: string) =>
    expect.poll(() => jobStatus(name, id), { timeout: 10_000 }).toBe(wanted)
  const untilCluster = (name: string, wanted: string | undefined) =>
    expect.poll(async () => (await status(name))?.status, { timeout: 10_000 }).toBe(wanted)
  const logs = async (name: string, id: number | null, more: Record<string, unknown> = {}) =>
    (await sky().post('/logs', { cluster_name: name, job_id: id, ...more })).text()
  const begin = async (path: string, body: Record<string, unknown>) =>
    (await sky().post(path, body)).headers.get('x-skypilot-request-id')!
  const requestStatus = async (id: string) => {
    const [record] = (await (await sky().get(`/api/status?request_ids=${id}`)).json()) as Array<{
      status: string
      status_msg: string | null
    }>
    return record!
  }
  const effects = async () => (await sky().ledger()).map(({ effect }) => effect)
  const disk = async (name: string) => join(sky().home, 'clusters', (await status(name))!.cluster_hash)

  return {
    task,
    launchBody,
    launch,
    status,
    queue,
    jobStatus,
    untilJob,
    untilCluster,
    logs,
    begin,
    requestStatus,
    effects,
    disk,
  }
}
