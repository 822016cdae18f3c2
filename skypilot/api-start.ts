import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { SkyPilotError } from './errors.ts'

const run = promisify(execFile)
const START_MS = 300_000

export interface ApiStart {
  /** Use the whole machine, and be reachable from others. */
  deploy?: boolean
  /** 127.0.0.1, unless said otherwise. */
  host?: string
  /** 46580, unless said otherwise. */
  port?: number
  enableBasicAuth?: boolean
  /** SkyPilot's command: `sky` on the PATH, unless said otherwise. */
  command?: string
  /** How long the start may take. Five minutes, unless said otherwise. */
  timeoutMs?: number
  signal?: AbortSignal
}

/**
 * Starts an API server on this machine through SkyPilot's own command, unless one runs already, and returns when it
 * answers. It needs SkyPilot installed. The server goes on when this process ends.
 * @throws SkyPilotError `unreachable` when the command is not found or says that it failed, `timeout` when it takes too
 * long
 */
export async function apiStart(options: ApiStart = {}): Promise<void> {
  const command = options.command ?? 'sky'
  try {
    await run(command, ['api', 'start', ...flagsOf(options)], {
      timeout: options.timeoutMs ?? START_MS,
      signal: options.signal,
    })
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason
    throw failureOf(command, error)
  }
}

const flagsOf = ({ deploy, host, port, enableBasicAuth }: ApiStart): string[] => [
  ...(deploy ? ['--deploy'] : []),
  ...(host === undefined ? [] : ['--host', host]),
  ...(port === undefined ? [] : ['--port', String(port)]),
  ...(enableBasicAuth ? ['--enable-basic-auth'] : []),
]

function failureOf(command: string, error: unknown): SkyPilotError {
  const details =
    error instanceof Error ? Object.assign({ code: '', killed: false, stderr: '', stdout: '' }, error) : null
  if (details?.code === 'ENOENT')
    return new SkyPilotError('unreachable', `the command ${command} is not found: is SkyPilot installed?`, {
      cause: error,
    })
  if (details?.killed)
    return new SkyPilotError('timeout', `${command} api start took too long`, { cause: error })
  const said = details ? `${details.stderr}\n${details.stdout}`.trim().slice(-2_000) : String(error)
  return new SkyPilotError('unreachable', `${command} api start failed: ${said}`, { cause: error })
}
