import { apiStart } from './api-start.ts'
import { createClusters } from './clusters.ts'
import { createDownloads } from './downloads.ts'
import { createCalls } from './handle.ts'
import { createInfra } from './infra.ts'
import { createJobs } from './jobs.ts'
import { createRequests } from './requests.ts'
import { createServe } from './serve.ts'
import { createServerInfo } from './server-info.ts'
import { createTransport, type TransportOptions } from './transport.ts'
import { uploadMounts, type UploadMounts, type UploadedMounts } from './uploads.ts'

export type SkyPilot = ReturnType<typeof createSkyPilot>

/**
 * A typed client of one SkyPilot API server. Every call may throw SkyPilotError, whose `kind` says what to do about it.
 * Calls that change something give a handle on the request as soon as the server has taken it; calls that only ask give
 * the answer.
 */
export function createSkyPilot(options: TransportOptions) {
  const transport = createTransport(options)
  const requests = createRequests(transport)
  const calls = createCalls(transport, requests)
  const downloads = createDownloads(transport)
  const server = createServerInfo(transport)
  return {
    endpoint: transport.endpoint,
    requests: {
      get: requests.get,
      list: requests.list,
      cancel: requests.cancel,
      cancelAll: requests.cancelAll,
      /** Picks a request up again by its id, also one that another process submitted, as the kind that it is. */
      attach: calls.attach,
    },
    clusters: createClusters(transport, calls, downloads),
    jobs: createJobs(calls, downloads, server),
    serve: createServe(calls, downloads),
    ...createInfra(transport, calls),
    health: server.health,
    apiInfo: server.apiInfo,
    apiStart,
    uploadMounts: (mounts: UploadMounts): Promise<UploadedMounts> => uploadMounts(transport, mounts),
  }
}
