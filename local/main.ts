import { type Settings, SettingsError, readOptions, readSettings } from '../runtime/env.ts'
import { onShutdown } from '../runtime/shutdown.ts'
import { findEndpoint } from '../skypilot/endpoint.ts'
import { prepareHome } from './home.ts'
import { AlreadyRunning, takeLock } from './lock.ts'
import { type Addresses, DIST, consoleAddress } from './services.ts'
import { CannotStart, startStack } from './stack.ts'
import { Supervisor } from './supervisor.ts'

// The whole of SkyDeck on one machine, from this one process.

const STOP_TIMEOUT_MS = 60_000

const say = (line: string) => void process.stdout.write(`${line}\n`)
// A reader that went away, such as `| head`, must not take the stack with it.
process.stdout.on('error', () => undefined)

function settingsOfThisRun(): Settings {
  const settings = readSettings(process.env, readOptions(process.argv.slice(2)))
  if (settings.skypilotEndpoint !== null) return settings
  const endpoint = findEndpoint(null)
  // Read again, because what is not set follows from which SkyPilot it is.
  if (endpoint === null) return settings
  const env = { ...process.env, SKYPILOT_API_SERVER_ENDPOINT: endpoint }
  return readSettings(env, readOptions(process.argv.slice(2)))
}

function welcome(settings: Settings, addresses: Addresses, tookMs: number): void {
  say('')
  say(`SkyDeck is ready after ${(tookMs / 1000).toFixed(1)} s`)
  say(`  Console       ${consoleAddress(settings)}`)
  if (addresses.temporalUiUrl !== null) say(`  Temporal UI   ${addresses.temporalUiUrl}`)
  say(`  SkyPilot API  ${addresses.skypilotEndpoint}`)
  say(`  Home          ${settings.home}`)
  say('')
  say('Ctrl-C stops it; running jobs keep running.')
}

function explain(error: unknown): string {
  if (error instanceof SettingsError) return error.problems.join('\n')
  if (error instanceof AlreadyRunning || error instanceof CannotStart) return error.message
  return error instanceof Error ? `SkyDeck could not start. ${error.message}` : String(error)
}

async function main(): Promise<void> {
  const startedAtMs = performance.now()
  const settings = settingsOfThisRun()
  prepareHome(settings.home)
  const unlock = takeLock(settings.home, consoleAddress(settings))
  const supervisor = new Supervisor(settings.home, say)
  const stopAll = async () => {
    await supervisor.stop()
    unlock()
  }
  let stopping = false
  const stop = onShutdown(
    async () => {
      stopping = true
      say('Stopping')
      await stopAll()
      say('Stopped; running jobs keep running.')
    },
    { timeoutMs: STOP_TIMEOUT_MS, onProblem: say },
  )
  // Whoever started us holds the other end of a channel; when it is gone nobody could stop us any more.
  process.on('disconnect', () => stop('the starter is gone'))
  process.channel?.unref()
  try {
    await supervisor.stopLeftovers()
    const addresses = await startStack({ supervisor, settings, say, dist: DIST })
    welcome(settings, addresses, performance.now() - startedAtMs)
  } catch (error) {
    if (stopping) return
    await stopAll()
    throw error
  }
}

try {
  await main()
} catch (error) {
  process.stderr.write(`${explain(error)}\n`)
  process.exit(1)
}
