import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { isAlive, ownIdentity } from './processes.ts'

const Holder = z.object({ pid: z.number(), started: z.string(), address: z.string() })

/** Another SkyDeck runs in the same home folder. */
export class AlreadyRunning extends Error {
  constructor(holder: z.infer<typeof Holder>, home: string) {
    super(`SkyDeck runs already in ${home}: ${holder.address} (process ${holder.pid})`)
    this.name = 'AlreadyRunning'
  }
}

/** Makes this process the only SkyDeck of the home folder. Returns a function that gives the place free. */
export function takeLock(home: string, address: string): () => void {
  const path = join(home, 'skydeck.lock')
  const content = JSON.stringify({ ...ownIdentity(), address })
  const mine = `${path}.${process.pid}`
  writeFileSync(mine, content)
  try {
    for (;;) {
      // A link appears whole or not at all, so nobody can read half a lock.
      if (linked(mine, path)) break
      const holder = readHolder(path)
      if (holder !== null && isAlive(holder)) throw new AlreadyRunning(holder, home)
      setAside(path, holder)
    }
  } finally {
    rmSync(mine, { force: true })
  }
  return () => {
    if (readOrNull(path) === content) rmSync(path, { force: true })
  }
}

/** Takes a dead process's lock away; should another starter have replaced it meanwhile, that one is put back. */
function setAside(path: string, dead: z.infer<typeof Holder> | null): void {
  const aside = `${path}.stale.${process.pid}`
  try {
    renameSync(path, aside)
  } catch {
    return
  }
  const moved = readHolder(aside)
  if (moved !== null && moved.started !== dead?.started && isAlive(moved)) linked(aside, path)
  rmSync(aside, { force: true })
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function readHolder(path: string): z.infer<typeof Holder> | null {
  try {
    return Holder.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return null
  }
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}
