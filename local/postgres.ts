import { execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import pg from 'pg'
import type { ChildSpec } from './child.ts'
import { type PostgresUser, postgresPrograms, postgresUser } from './postgres-binaries.ts'
import { startOf, stopProcess } from './processes.ts'
import { type Supervisor, untilReady } from './supervisor.ts'

const NAME = 'skydeck'
const READY_WITHIN_MS = 60_000
const NO_SUCH_DATABASE = '3D000'

/** Small, and on loopback only. The data is one machine's; nothing copies it elsewhere. */
const OPTIONS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '60',
  shared_buffers: '32MB',
  huge_pages: 'off',
  jit: 'off',
  io_method: 'sync',
  wal_level: 'minimal',
  max_wal_senders: '0',
  max_logical_replication_workers: '0',
  max_wal_size: '256MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
  logging_collector: 'off',
}

/** Starts the Postgres of the home folder, made on the first run. Returns the address of its database. */
export async function startPostgres(supervisor: Supervisor, home: string, port: number): Promise<string> {
  const data = join(home, 'postgres')
  const user = postgresUser(data)
  const programs = postgresPrograms(user)
  const password = passwordOf(home)
  if (!existsSync(data)) await createData(programs.initdb, data, user, password)
  checkVersion(data)
  const child = await supervisor.start(specOf(programs.postgres, data, user, port))
  const address = (database: string) => `postgres://${NAME}:${password}@127.0.0.1:${port}/${database}`
  await untilReady(child, () => hasDatabase(address), READY_WITHIN_MS)
  return address(NAME)
}

/** One password a home, made once. */
function passwordOf(home: string): string {
  const path = join(home, 'postgres-password')
  if (existsSync(path)) return readFileSync(path, 'utf8').trim()
  const password = randomBytes(24).toString('base64url')
  writeFileSync(path, `${password}\n`, { mode: 0o600 })
  return password
}

/** A folder as its owner's processes reach it. */
interface Reach {
  path: string
  files?: readonly number[]
}

/**
 * Postgres run by another user cannot walk to a data folder below, say, /root. It can be handed the folder as an
 * open file though, whose name under /proc/self is good whatever the folders above it allow.
 */
function reachOf(data: string, user: PostgresUser | null): Reach {
  if (user === null || process.platform !== 'linux') return { path: data }
  return { path: '/proc/self/fd/3', files: [openSync(data, 'r')] }
}

function specOf(postgres: string, data: string, user: PostgresUser | null, port: number): ChildSpec {
  const reach = reachOf(data, user)
  const options = Object.entries({ ...OPTIONS, port: String(port) }).flatMap(([k, v]) => ['-c', `${k}=${v}`])
  return {
    name: 'postgres',
    command: postgres,
    args: ['-D', reach.path, ...options],
    env: { LC_ALL: 'C' },
    cwd: '/',
    // SIGINT is Postgres's fast shutdown; SIGTERM would wait for every client to leave.
    stopSignal: 'SIGINT',
    prepare: () => clearLeftover(data),
    ...user,
    ...(reach.files === undefined ? {} : { files: reach.files }),
  }
}

/** Made under another name first, so that a first run cut short leaves nothing that looks finished. */
async function createData(
  initdb: string,
  data: string,
  user: PostgresUser | null,
  password: string,
): Promise<void> {
  const fresh = `${data}.new`
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh, { mode: 0o700 })
  const secret = join(mkdtempSync(join(tmpdir(), 'skydeck-')), 'password')
  writeFileSync(secret, `${password}\n`, { mode: 0o600 })
  try {
    if (user !== null) {
      for (const path of [fresh, dirname(secret), secret]) chownSync(path, user.uid, user.gid)
    }
    const reach = reachOf(fresh, user)
    await run(initdb, [...initdbArgs(secret), '-D', reach.path], user, reach.files ?? [])
    chmodSync(fresh, 0o700)
    renameSync(fresh, data)
  } finally {
    rmSync(dirname(secret), { recursive: true, force: true })
  }
}

function initdbArgs(passwordFile: string): string[] {
  return [
    `--username=${NAME}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    '--locale-provider=builtin',
    '--builtin-locale=C.UTF-8',
    '--no-sync',
    '--no-instructions',
  ]
}

async function run(
  command: string,
  args: string[],
  user: PostgresUser | null,
  files: readonly number[],
): Promise<void> {
  const child = spawn(command, args, {
    cwd: '/',
    env: { ...process.env, LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe', ...files],
    ...user,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (part) => (output += String(part)))
  const ending = await new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(code === 0 ? '' : (signal ?? `code ${code}`)))
  })
  if (ending !== '') throw new Error(`${command} failed (${ending}): ${output.trim().slice(-1500)}`)
}

function checkVersion(data: string): void {
  const inData = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()
  if (inData !== '18') {
    throw new Error(
      `${data} was written by Postgres ${inData} and this is Postgres 18: move the folder away first`,
    )
  }
}

/**
 * A Postgres that was killed leaves its process number behind and will not start while any process bears it. If
 * that process is a Postgres of this very folder it is ended; any other has nothing to do with us.
 */
async function clearLeftover(data: string): Promise<void> {
  const path = join(data, 'postmaster.pid')
  if (!existsSync(path)) return
  const pid = Number(readFileSync(path, 'utf8').split('\n')[0])
  const started = pid > 1 ? startOf(pid) : null
  if (started !== null && runsIn(pid, data)) await stopProcess({ pid, started }, 'SIGINT', 10_000)
  rmSync(path, { force: true })
}

/** Postgres works in its data folder, and names it on its command line. */
function runsIn(pid: number, data: string): boolean {
  try {
    if (process.platform === 'linux') return readlinkSync(`/proc/${pid}/cwd`) === realpathSync(data)
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).includes(data)
  } catch {
    return false
  }
}

/** True when the database answers; made if the server has none yet. */
async function hasDatabase(address: (database: string) => string): Promise<boolean> {
  try {
    await ask(address(NAME), 'select 1')
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== NO_SUCH_DATABASE) throw error
    await ask(address('postgres'), `create database ${NAME}`)
  }
  return true
}

async function ask(connectionString: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end().catch(() => undefined)
  }
}
