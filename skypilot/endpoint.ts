import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const text = z.string().min(1).optional().catch(undefined)
const Config = z
  .object({ api_server: z.object({ endpoint: text, service_account_token: text }) })
  .catch({ api_server: {} })

/** The address of a SkyPilot API server on its own machine. */
export const LOCAL_ENDPOINT = 'http://127.0.0.1:46580'

/**
 * Finds the API server as SkyPilot's own client does: the environment first, then `~/.sky/config.yaml`.
 * Null where neither names one. @throws Error for a configuration file that is not YAML
 */
export function findEndpoint(fromEnvironment: string | null, home: string = homedir()): string | null {
  if (fromEnvironment) return fromEnvironment
  return readConfig(join(home, '.sky', 'config.yaml')).endpoint ?? null
}

/** What SkyPilot's configuration says of the API server. @throws Error for a file that is not YAML */
export function readConfig(path: string): { endpoint?: string | undefined; token?: string | undefined } {
  const { endpoint, service_account_token: token } = Config.parse(readYaml(path)).api_server
  return { endpoint, token }
}

function readYaml(path: string): unknown {
  let yaml: string
  try {
    yaml = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  try {
    const value: unknown = parse(yaml)
    return value
  } catch (error) {
    throw new Error(`${path} cannot be read as YAML`, { cause: error })
  }
}
