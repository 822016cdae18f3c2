import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Client, Connection } from '@temporalio/client'
import { z } from 'zod'
import { startPostgres } from '../../local/postgres.ts'
import { type Addresses, environmentOf, startSkypilot } from '../../local/services.ts'
import { startTemporal } from '../../local/temporal.ts'
import { readSettings } from '../../runtime/env.ts'
import { freePort } from '../support/ports.ts'
import { Proxy } from './proxy.ts'
import { holdingsOf, type Puppet, type Puppets } from './puppet.ts'

export const DIST = fileURLToPath(new URL('../../dist/', import.meta.url))

const USERS = ['worker-1', 'worker-2', 'api-1', 'api-2'] as const
export type User = (typeof USERS)[number]
export type Server = 'temporal' | 'skypilot' | 'postgres'
export type Part = User | Server

/** Between the looks at SkyPilot, and until everything is compared afresh. */
const POLL_MS = 2_000
const RECONCILE_MS = 20_000
const READY_MS = 120_000

/**
 * What the experiments run. It says itself when it began and ended, and with what it is asked to do it lasts a
 * while, ends with a code, and takes its time to go when it is told to.
 */
const JOB = (witness: string): string => `#!/usr/bin/env bash
note() { printf '%s %s %s\\n' "$1" "$SKYPILOT_MANAGED_JOB_ID" "\${EPOCHREALTIME//[.,]/}" >> "${witness}/$SKYDECK_EXPERIMENT_ID"; }
leave() { sleep "\${CHAOS_LINGER:-0}"; note end; exit 143; }
trap leave TERM
note begin
sleep "\${CHAOS_SECONDS:-1}" & wait $!
note end
exit "\${CHAOS_CODE:-0}"
`

interface Servers {
  databaseUrl: string
  temporalAddress: string
  skypilotUrl: string
}

/** The whole of SkyDeck as real processes, with two workers, two consoles, and a proxy on every way between them. */
export class Topology {
  readonly puppets: Puppets
  readonly links: ReadonlyMap<`${User} ${Server}`, Proxy>
  readonly apiUrls: ReadonlyMap<string, string>
  readonly servers: Servers
  readonly temporal: Client
  readonly witnessFolder: string
  readonly jobCommand: string
  readonly #connection: Connection

  private constructor(
    given: Pick<Topology, 'puppets' | 'links' | 'apiUrls' | 'servers' | 'witnessFolder' | 'jobCommand'>,
    connection: Connection,
  ) {
    this.puppets = given.puppets
    this.links = given.links
    this.apiUrls = given.apiUrls
    this.servers = given.servers
    this.witnessFolder = given.witnessFolder
    this.jobCommand = given.jobCommand
    this.#connection = connection
    this.temporal = new Client({ connection })
  }

  /** Starts everything in a home folder of its own, and waits until it works. `puppets` can be stopped at any time. */
  static async start(
    puppets: Puppets,
    given: { home: string; binary: string; slots: number },
  ): Promise<Topology> {
    const { home } = given
    const witnessFolder = join(home, 'witness')
    mkdirSync(witnessFolder, { recursive: true })
    const job = join(home, 'job.sh')
    writeFileSync(job, JOB(witnessFolder))
    chmodSync(job, 0o755)
    const servers = await startServers(puppets, given)
    const links = await startLinks(servers)
    const apiUrls = new Map<string, string>()
    for (const user of USERS) {
      const port = await freePort()
      if (user.startsWith('api')) apiUrls.set(user, `http://127.0.0.1:${port}`)
      await startUser(puppets, user, { home, port, servers, links })
    }
    const connection = await Connection.connect({ address: servers.temporalAddress })
    const parts = { puppets, links, apiUrls, servers, witnessFolder, jobCommand: `bash ${job}` }
    const topology = new Topology(parts, connection)
    await topology.untilReady()
    return topology
  }

  puppet(name: Part): Puppet {
    const puppet = this.puppets.all.get(name)
    if (!puppet) throw new Error(`there is no ${name}`)
    return puppet
  }

  /** The links of one process, or of all, to one server. */
  linksTo(server: Server, user: User | 'all'): Proxy[] {
    return USERS.filter((each) => user === 'all' || each === user).flatMap(
      (each) => this.links.get(`${each} ${server}`) ?? [],
    )
  }

  /** Waits until both consoles answer and find SkyPilot looked at. @throws Error after some time, saying what is missing */
  async untilReady(): Promise<void> {
    const startedMs = Date.now()
    let missing = 'everything'
    while (Date.now() - startedMs < READY_MS) {
      const answers = await Promise.all([...this.apiUrls.values()].map((url) => whyNotReady(url, startedMs)))
      const why = answers.find((answer) => answer !== undefined)
      if (why === undefined) return
      missing = why
      await sleep(250)
    }
    throw new Error(`not ready after ${READY_MS / 1_000} s: ${missing}`)
  }

  /** What the processes of SkyDeck hold now. */
  holdings(): Map<string, { files: number; residentMiB: number }> {
    return new Map(
      [...this.puppets.all].flatMap(([name, { identity }]) =>
        identity === null ? [] : [[name, holdingsOf(identity.pid)] as const],
      ),
    )
  }

  /** Lets go of what it holds itself; the processes belong to the puppets. */
  async close(): Promise<void> {
    await this.#connection.close()
    await Promise.all([...this.links.values()].map((link) => link.close()))
  }
}

async function startServers(
  puppets: Puppets,
  { home, binary, slots }: { home: string; binary: string; slots: number },
): Promise<Servers> {
  const [postgres, temporal, ui, skypilot] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
    freePort(),
  ])
  const [databaseUrl, temporalAddress, skypilotUrl] = await Promise.all([
    startPostgres(puppets, home, postgres),
    startTemporal(puppets, { binary, home, port: temporal, uiPort: ui, namespace: 'default' }),
    startSkypilot(puppets, { home, port: skypilot, slots, dist: DIST }),
  ])
  return { databaseUrl, temporalAddress, skypilotUrl }
}

type Links = Map<`${User} ${Server}`, Proxy>

async function startLinks({ databaseUrl, temporalAddress, skypilotUrl }: Servers): Promise<Links> {
  const ports: Record<Server, number> = {
    postgres: Number(new URL(databaseUrl).port),
    temporal: Number(temporalAddress.split(':')[1]),
    skypilot: Number(new URL(skypilotUrl).port),
  }
  const links: Links = new Map()
  for (const user of USERS)
    for (const server of ['temporal', 'skypilot', 'postgres'] as const)
      links.set(`${user} ${server}`, await Proxy.listen(ports[server]))
  return links
}

async function startUser(
  puppets: Puppets,
  user: User,
  { home, port, servers, links }: { home: string; port: number; servers: Servers; links: Links },
): Promise<void> {
  const near = (server: Server): string => `127.0.0.1:${links.get(`${user} ${server}`)?.port}`
  const addresses: Addresses = {
    databaseUrl: Object.assign(new URL(servers.databaseUrl), { host: near('postgres') }).href,
    temporalAddress: near('temporal'),
    temporalUiUrl: null,
    skypilotEndpoint: `http://${near('skypilot')}`,
  }
  const settings = readSettings({
    SKYDECK_HOME: home,
    SKYDECK_PORT: String(port),
    SKYDECK_POLL_INTERVAL: String(POLL_MS / 1_000),
    SKYDECK_RECONCILE_INTERVAL: String(RECONCILE_MS / 1_000),
  })
  const script = join(DIST, user.startsWith('worker') ? 'worker/main.js' : 'api/main.js')
  const heapMiB = user.startsWith('worker') ? 512 : 256
  await puppets.start({
    name: user,
    command: process.execPath,
    args: [`--max-old-space-size=${heapMiB}`, script],
    env: environmentOf(settings, addresses),
  })
}

const Health = z.object({ skypilot: z.object({ last_sync: z.string().nullable() }) })

async function whyNotReady(url: string, sinceMs: number): Promise<string | undefined> {
  try {
    const answer = await fetch(`${url}/api/health`, { signal: AbortSignal.timeout(5_000) })
    if (answer.status !== 200) return `${url} answers ${answer.status}`
    const { skypilot } = Health.parse(await answer.json())
    if (skypilot.last_sync !== null && Date.parse(skypilot.last_sync) >= sinceMs) return undefined
    return `the last good look at SkyPilot was ${skypilot.last_sync ?? 'never'}`
  } catch (error) {
    return `${url}: ${error instanceof Error ? error.message : String(error)}`
  }
}
