import { createClusters } from './clusters.ts'
import { SkyPilotError } from './errors.ts'
import { createJobs } from './jobs.ts'
import { type CallOptions, createRequests, parse } from './requests.ts'
import { Health } from './schemas.ts'
import { createTransport, SERVER_VERSION_MIN, type TransportOptions } from './transport.ts'

export type SkyPilot = ReturnType<typeof createSkyPilot>

/** A typed client of one SkyPilot API server. Every call may throw SkyPilotError, whose `kind` says what to do about it. */
export function createSkyPilot(options: TransportOptions) {
  const transport = createTransport(options)
  const requests = createRequests(transport)
  return {
    endpoint: transport.endpoint,
    requests,
    jobs: createJobs(transport, requests),
    clusters: createClusters(transport, requests),
    /**
     * Asks the server who it is.
     * @throws SkyPilotError `protocol` for a server that is too old for the filters we rely on
     */
    async health(call: CallOptions = {}): Promise<Health> {
      const answer = await transport.send({ method: 'GET', path: '/api/health', ...call })
      const health = parse(Health, answer.text)
      if (Number(health.api_version) < SERVER_VERSION_MIN)
        throw new SkyPilotError(
          'protocol',
          `SkyPilot ${health.version} (API version ${health.api_version}) is too old; SkyDeck needs ${SERVER_VERSION_MIN} or newer`,
        )
      return health
    },
  }
}
