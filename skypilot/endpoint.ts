import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const Config = z.object({ api_server: z.object({ endpoint: z.string().min(1) }) })

/** The address of a SkyPilot API server on its own machine. */
export const LOCAL_ENDPOINT = 'http://127.0.0.1:46580'

/**
 * Finds the API server as SkyPilot's own client does: the environment first, then `~/.sky/config.yaml`.
 * Null where neither names one. @throws Error for a configuration file that is not YAML
 */
export function findEndpoint(fromEnvironment: string | null, home: string = homedir()): string | null {
  if (fromEnvironment) return fromEnvironment
  const path = join(home, '.sky', 'config.yaml')
  const config = Config.safeParse(readYaml(path))
  return config.success ? config.data.api_server.endpoint : null
}

function readYaml(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
  try {
    const value: unknown = parse(text)
    return value
  } catch (error) {
    throw new Error(`${path} cannot be read as YAML`, { cause: error })
  }
}
