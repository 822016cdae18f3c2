import { z } from 'zod'
import { fromStatus, parse } from './answers.ts'
import { SkyPilotError } from './errors.ts'
import type { CallOptions } from './requests.ts'
import { Health } from './schemas.ts'
import { SERVER_VERSION_MIN, type Transport } from './transport.ts'
import type { Feature } from './versions.ts'

/** The server about itself. */
const ApiInfo = z
  .object({
    status: z.string(),
    api_version: z.string(),
    version: z.string(),
    version_on_disk: z.string().nullish().catch(null),
    commit: z.string().nullish().catch(null),
    basic_auth_enabled: z.boolean().nullish().catch(null),
    service_account_token_enabled: z.boolean().nullish().catch(null),
    user: z.object({ id: z.string(), name: z.string().nullish() }).nullish().catch(null),
  })
  .transform((row) => ({
    /** `healthy`, or `needs_auth` for a server that does not know us. */
    status: row.status,
    apiVersion: Number(row.api_version),
    version: row.version,
    /** What is installed there; another one than `version` after an upgrade without a restart. */
    versionOnDisk: row.version_on_disk ?? null,
    commit: row.commit ?? null,
    isBasicAuthEnabled: row.basic_auth_enabled ?? false,
    areServiceAccountsEnabled: row.service_account_token_enabled ?? false,
    /** Who the server takes us for; null where it asks for no proof. */
    user: row.user ? { id: row.user.id, name: row.user.name ?? null } : null,
  }))
export type ApiInfo = z.infer<typeof ApiInfo>

export type ServerInfo = ReturnType<typeof createServerInfo>

/** What the server says about itself. */
export function createServerInfo(transport: Transport) {
  async function ask(call: CallOptions): Promise<string> {
    const { signal, timeoutMs } = call
    const limits = { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
    const answer = await transport.send({ method: 'GET', path: '/api/health', ...limits })
    if (answer.status !== 200) throw fromStatus(answer)
    return answer.text
  }

  async function apiInfo(call: CallOptions = {}): Promise<ApiInfo> {
    return parse(ApiInfo, await ask(call))
  }

  return {
    /** Asks the server who it is, whatever its version. */
    apiInfo,

    /**
     * Asks the server whether it is well, and whether we can work with it.
     * @throws SkyPilotError `protocol` for a server that is too old for the filters we rely on
     */
    health: async (call: CallOptions = {}): Promise<Health> => {
      const health = parse(Health, await ask(call))
      if (Number(health.api_version) < SERVER_VERSION_MIN)
        throw new SkyPilotError(
          'protocol',
          `SkyPilot ${health.version} (API version ${health.api_version}) is too old; this client needs API version ${SERVER_VERSION_MIN} or newer`,
        )
      return health
    },

    /**
     * Sees to it that the server knows a feature. Asks it at most once who it is.
     * @throws SkyPilotError `protocol` for a server that is too old
     */
    requires: (feature: Feature, call: CallOptions = {}) => transport.requires(feature, call),
  }
}
