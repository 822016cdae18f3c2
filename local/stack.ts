import type { Settings } from '../runtime/env.ts'
import { choosePorts, type PortWish } from './ports.ts'
import { startPostgres } from './postgres.ts'
import { type Addresses, startSkypilot, startWeb, startWorker } from './services.ts'
import type { Supervisor } from './supervisor.ts'
import { findTemporal } from './temporal-binary.ts'
import { startTemporal } from './temporal.ts'

/** What a stack is made of; `dist` is where the compiled processes are. */
export interface StackParts {
  supervisor: Supervisor
  settings: Settings
  say: (line: string) => void
  dist: string
}

/** A busy port or another thing that people must settle; the message is complete and needs no stack trace. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart'
}

/** Starts every part that no setting replaces, each as early as it can be. Returns where they are. */
export async function startStack(parts: StackParts): Promise<Addresses> {
  const { settings, supervisor, say, dist } = parts
  const ports = await portsFor(settings)
  const [databaseUrl, temporal, skypilotEndpoint] = await Promise.all([
    settings.databaseUrl ??
      timed(say, 'Postgres', () => startPostgres(supervisor, settings.home, ports.postgres)),
    settings.temporalAddress === null
      ? timed(say, 'Temporal', () => startOwnTemporal(parts, ports))
      : { temporalAddress: settings.temporalAddress, temporalUiUrl: settings.temporalUiUrl },
    settings.skypilotEndpoint ??
      timed(say, 'SkyPilot', () =>
        startSkypilot(supervisor, { home: settings.home, port: ports.skypilot, slots: settings.slots, dist }),
      ),
  ])
  const addresses = { databaseUrl, ...temporal, skypilotEndpoint }
  await Promise.all([
    timed(say, 'Worker', () => startWorker(supervisor, settings, addresses, dist)),
    timed(say, 'Console', () => startWeb(supervisor, settings, addresses, dist)),
  ])
  return addresses
}

type Ports = Record<'postgres' | 'temporal' | 'temporalUi' | 'skypilot', number>

async function startOwnTemporal(
  { settings, supervisor, say }: StackParts,
  ports: Ports,
): Promise<{ temporalAddress: string; temporalUiUrl: string }> {
  const { home, temporalNamespace: namespace } = settings
  const binary = await findTemporal({ bin: settings.temporalBin, home, log: say })
  const wish = { binary, home, port: ports.temporal, uiPort: ports.temporalUi, namespace }
  const temporalAddress = await startTemporal(supervisor, wish)
  return {
    temporalAddress,
    temporalUiUrl: settings.temporalUiUrl ?? `http://127.0.0.1:${ports.temporalUi}`,
  }
}

async function portsFor(settings: Settings): Promise<Ports> {
  const loopback: Partial<Record<keyof Ports, PortWish>> = {}
  const wish = (what: string, port: number, setting: string): PortWish => ({
    what,
    port,
    setting,
    fixed: settings.given.has(setting),
  })
  if (settings.databaseUrl === null) {
    loopback.postgres = wish('Postgres', settings.postgresPort, 'SKYDECK_POSTGRES_PORT')
  }
  if (settings.temporalAddress === null) {
    loopback.temporal = wish('Temporal', settings.temporalPort, 'SKYDECK_TEMPORAL_PORT')
    loopback.temporalUi = wish("Temporal's pages", settings.temporalUiPort, 'SKYDECK_TEMPORAL_UI_PORT')
  }
  if (settings.skypilotEndpoint === null) {
    loopback.skypilot = wish('the local SkyPilot', settings.skypilotPort, 'SKYDECK_SKYPILOT_PORT')
  }
  const own = await choosePorts(settings.host, {
    console: { ...wish('the console', settings.port, 'SKYDECK_PORT or --port'), fixed: true },
  })
  const others = await choosePorts('127.0.0.1', loopback, [settings.port])
  const problems = [...own.problems, ...others.problems]
  if (problems.length > 0) throw new CannotStart(problems.join('\n'))
  return {
    postgres: settings.postgresPort,
    temporal: settings.temporalPort,
    temporalUi: settings.temporalUiPort,
    skypilot: settings.skypilotPort,
    ...others.ports,
  }
}

async function timed<T>(say: (line: string) => void, what: string, work: () => Promise<T>): Promise<T> {
  const startedAtMs = performance.now()
  const result = await work()
  const tookS = ((performance.now() - startedAtMs) / 1000).toFixed(1)
  say(`  ${what.padEnd(10)} ready  ${tookS} s`)
  return result
}
