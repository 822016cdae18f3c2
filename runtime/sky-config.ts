import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

const SkyConfig = z.object({ api_server: z.object({ endpoint: z.url() }) })

/** The SkyPilot server that the `sky` command of this user talks to, if `~/.sky/config.yaml` names one. */
export function endpointOfSkyConfig(userHome: string = homedir()): string | null {
  let content: string
  try {
    content = readFileSync(join(userHome, '.sky', 'config.yaml'), 'utf8')
  } catch {
    return null
  }
  const read = SkyConfig.safeParse(parseOrNull(content))
  return read.success ? read.data.api_server.endpoint.replace(/\/+$/, '') : null
}

function parseOrNull(content: string): unknown {
  try {
    return parse(content)
  } catch {
    return null
  }
}
