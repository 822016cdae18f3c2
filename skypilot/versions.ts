import { tryJson } from './answers.ts'
import { ProtocolError } from './errors.ts'
import { Health } from './schemas.ts'

/** The protocol version we speak, and the release it belongs to. */
export const CLIENT = { apiVersion: 62, version: '0.14.1' } as const

/** Both headers, or the server negotiates nothing. */
export const VERSION_HEADERS = {
  'X-SkyPilot-API-Version': String(CLIENT.apiVersion),
  'X-SkyPilot-Version': CLIENT.version,
}

/** Below it a server speaks another protocol. */
const API_VERSION_MIN = 24

export interface ServerVersion {
  apiVersion: number
  version: string
}

/**
 * What a server knows only from some API version on. An older one passes over an option that it does not know without
 * a word, and a filter that is passed over lets everything through (`sky/server/constants.py`).
 */
export const FEATURES = {
  uploads: 41,
  includeCredentials: 50,
  submittedAfter: 54,
  /** Before, a request that waits says RUNNING. */
  waitingStatus: 55,
  infraMatch: 58,
  parentJobId: 61,
  cancelTask: 62,
} as const
export type Feature = keyof typeof FEATURES

const named = ({ apiVersion, version }: ServerVersion): string =>
  `SkyPilot ${version} (API version ${apiVersion})`

/**
 * The version that an answer names, null where it names none.
 * @throws ProtocolError for a server that is too old for this client
 */
export function versionOf(headers: Headers): ServerVersion | null {
  const apiVersion = Number(headers.get('x-skypilot-api-version') ?? Number.NaN)
  if (!Number.isInteger(apiVersion)) return null
  const server = { apiVersion, version: headers.get('x-skypilot-version') ?? 'of unknown release' }
  if (apiVersion < API_VERSION_MIN)
    throw new ProtocolError(
      `the server is too old: it is ${named(server)}, this client is ${named(CLIENT)} and needs API version ${API_VERSION_MIN} or newer`,
    )
  return server
}

/** The version that the server's word about its health names, null where there is none. */
export function versionIn(health: string): ServerVersion | null {
  const said = Health.safeParse(tryJson(health))
  return said.success ? { apiVersion: Number(said.data.api_version), version: said.data.version } : null
}

/** The error for a server that wants a newer client. */
export const clientTooOld = (server: ServerVersion | null, said: string): ProtocolError =>
  new ProtocolError(
    `this client is too old: it is ${named(CLIENT)}, the server is ${server ? named(server) : 'newer'}: ${said}`,
  )

/** @throws ProtocolError for a server that does not know the feature, or does not say who it is */
export function checkFeature(feature: Feature, server: ServerVersion | null): void {
  const wanted = FEATURES[feature]
  if (server && server.apiVersion >= wanted) return
  throw new ProtocolError(
    `${feature} needs API version ${wanted}; the server ${server ? `is ${named(server)}` : 'does not name its version'} and would pass over it`,
  )
}
