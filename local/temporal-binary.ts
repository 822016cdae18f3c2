import { execFile } from 'node:child_process'
import { accessSync, constants, mkdirSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execFileAsync = promisify(execFile)

const GO_PACKAGE = 'github.com/temporalio/cli/cmd/temporal@v1.5.1'
const DOWNLOAD_TIMEOUT_MS = 180_000
const GO_TIMEOUT_MS = 20 * 60_000

/** What the search for the Temporal program needs to know. */
export interface TemporalSearch {
  /** SKYDECK_TEMPORAL_BIN. */
  bin: string | null
  home: string
  /** Told which place is being tried. */
  log: (line: string) => void
  /** Where programs are looked for; PATH unless told. */
  path?: string
}

/**
 * Finds a Temporal program that runs: the one that was named, the one on PATH, the one kept in the home folder,
 * else it is fetched into the home folder. Throws an error that says what was tried and why each did not do.
 */
export async function findTemporal(search: TemporalSearch): Promise<string> {
  const cache = join(search.home, 'bin')
  const path = search.path ?? process.env['PATH'] ?? ''
  if (search.bin !== null) {
    const why = await whyUnusable(search.bin)
    if (why === null) return search.bin
    throw new Error(`SKYDECK_TEMPORAL_BIN is ${search.bin}, which does not run: ${why}`)
  }
  const tried: string[] = []
  const places: [string, () => Promise<string[]>][] = [
    ['temporal on PATH', async () => programsOnPath('temporal', path)],
    [`the cache ${cache}`, async () => programsIn(cache)],
    ["the SDK's download", () => download(cache, search.log)],
    ['go install', () => goInstall(cache, path, search.log)],
  ]
  for (const [place, candidates] of places) {
    const found = await firstUsable(place, candidates, tried)
    if (found !== null) return found
  }
  throw new Error(
    [
      'No Temporal server program was found. Tried:',
      ...tried.map((line) => `  ${line}`),
      'Install the Temporal CLI so that `temporal` is on PATH, name it with SKYDECK_TEMPORAL_BIN,',
      'or set TEMPORAL_ADDRESS to a Temporal server that runs already.',
    ].join('\n'),
  )
}

async function firstUsable(
  place: string,
  candidates: () => Promise<string[]>,
  tried: string[],
): Promise<string | null> {
  try {
    const programs = await candidates()
    if (programs.length === 0) tried.push(`${place}: nothing there`)
    for (const program of programs) {
      const why = await whyUnusable(program)
      if (why === null) return program
      tried.push(`${program}: ${why}`)
    }
  } catch (error) {
    tried.push(`${place}: ${reasonOf(error)}`)
  }
  return null
}

async function whyUnusable(program: string): Promise<string | null> {
  try {
    const { stdout } = await execFileAsync(program, ['--version'], { timeout: 20_000 })
    return /temporal version/i.test(stdout) ? null : `it says ${JSON.stringify(stdout.trim().slice(0, 80))}`
  } catch (error) {
    return reasonOf(error)
  }
}

function programsOnPath(name: string, path: string): string[] {
  return path
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .filter(isExecutable)
    .slice(0, 3)
}

function programsIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name.startsWith('temporal'))
      .map((name) => join(folder, name))
      .filter(isExecutable)
  } catch {
    return []
  }
}

/** A process of its own, because the SDK's download cannot be called off once it hangs. */
async function download(cache: string, log: (line: string) => void): Promise<string[]> {
  log("  Temporal   no program at hand; trying the SDK's download")
  mkdirSync(cache, { recursive: true })
  const script = fileURLToPath(new URL('temporal-download.js', import.meta.url))
  await execFileAsync(process.execPath, [script, cache], { timeout: DOWNLOAD_TIMEOUT_MS })
  return programsIn(cache)
}

async function goInstall(cache: string, path: string, log: (line: string) => void): Promise<string[]> {
  const [go] = programsOnPath('go', [path, '/usr/local/go/bin'].join(delimiter))
  if (go === undefined) throw new Error('Go is not installed')
  log(`  Temporal   building it with Go (${GO_PACKAGE}); this takes some minutes, once`)
  mkdirSync(cache, { recursive: true })
  await execFileAsync(go, ['install', GO_PACKAGE], {
    timeout: GO_TIMEOUT_MS,
    env: { ...process.env, GOBIN: cache },
    maxBuffer: 16 * 1024 * 1024,
  })
  return programsIn(cache)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The last line a program wrote, or what the system says. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if ('killed' in error && error.killed === true) return 'took too long'
  const written = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : ''
  const told = (written === '' ? error.message : written).split('\n')
  const line = told.findLast((each) => /error|fail|cannot|not /i.test(each)) ?? told.at(-1) ?? ''
  return line.trim().slice(0, 300)
}
