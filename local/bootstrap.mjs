/* oxlint-disable no-console, import/no-unresolved */
// Plain JavaScript outside the compiler's view, so rules that need types cannot judge it:
/* oxlint-disable typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-argument */
/* oxlint-disable typescript/no-unsafe-member-access, typescript/no-unsafe-return */
/* oxlint-disable typescript/require-array-sort-compare */

// The way in on a machine that has only Node, of whatever version: installs, builds, then hands over to the Node
// that the project brings along.
//   start [--port ...]  runs SkyDeck
//   test                runs the tests; the last line is `N passed, N failed`
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const installedMark = join(root, 'node_modules/.skydeck-installed')
const builtMark = join(root, 'dist/.built')
const builtFolders = [
  'core',
  'workflows',
  'activities',
  'skypilot',
  'store',
  'sdk',
  'cli',
  'api',
  'views',
  'worker',
  'local',
  'runtime',
]

const [, , command, ...rest] = process.argv
try {
  if (command === 'start') await start(rest)
  else if (command === 'test') test(rest)
  else fail('usage: bootstrap.mjs start [options] | test')
} catch (error) {
  fail(error instanceof Error ? error.message : String(error))
}

/** Installs, builds and runs SkyDeck until it ends. */
async function start(args) {
  prepare()
  const main = join(root, 'dist/local/main.js')
  const child = spawn(node(), ['--max-old-space-size=256', main, ...args], {
    cwd: root,
    env: withTools(),
    // The channel is how it notices that we are gone, even when we were killed.
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (status) => resolve(status ?? 1))
  })
  process.exit(code)
}

/** Runs all tests and sums them up in the last line. */
function test(args) {
  let status = 1
  let passed = 0
  let failed = 1
  const folder = mkdtempSync(join(tmpdir(), 'skydeck-'))
  try {
    prepare()
    const report = join(folder, 'report.json')
    const vitest = join(root, 'node_modules/vitest/vitest.mjs')
    const options = ['--reporter=default', '--reporter=json', `--outputFile=${report}`]
    status = run(node(), [vitest, 'run', ...options, ...args])
    const seen = JSON.parse(readFileSync(report, 'utf8'))
    passed = seen.numPassedTests
    // A file that could not even be loaded has no tests to count, yet it failed.
    const unloaded = seen.testResults.filter(
      (file) => file.status === 'failed' && file.assertionResults.length === 0,
    )
    failed = seen.numFailedTests + unloaded.length
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  if (failed === 0 && status !== 0) failed = 1
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}

/** Brings node_modules and dist up to date, each only when what it is made from has changed. */
function prepare() {
  const wanted = fingerprint(['package.json', 'package-lock.json'])
  if (read(installedMark) !== wanted) {
    timed('install', () => run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--include=dev']))
    writeFileSync(installedMark, wanted)
  }
  const sources = [
    'package-lock.json',
    'tsconfig.json',
    'tsconfig.build.json',
    ...builtFolders.flatMap(filesIn),
  ]
  const source = fingerprint(sources)
  if (read(builtMark) === source) return
  timed('build', () => {
    const compiled = run(node(), [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'])
    return compiled === 0 ? run(node(), [join(root, 'dist/local/build.js')]) : compiled
  })
  writeFileSync(builtMark, source)
}

/** The Node that came with the packages; the one that runs this when it is new enough. */
function node() {
  const own = join(root, 'node_modules/.bin/node')
  if (existsSync(own) && spawnSync(own, ['--version'], { stdio: 'ignore' }).status === 0) return own
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath
  throw new Error(
    `Node ${process.versions.node} is too old and the package "node" did not install: use Node 22.18 or later`,
  )
}

function withTools() {
  return { ...process.env, PATH: `${join(root, 'node_modules/.bin')}:${process.env.PATH ?? ''}` }
}

function run(program, args) {
  const ended = spawnSync(program, args, { cwd: root, stdio: 'inherit', env: withTools() })
  if (ended.error) throw ended.error
  return ended.status ?? 1
}

function timed(what, work) {
  const startedAt = Date.now()
  console.log(`  ${what.padEnd(10)} ...`)
  if (work() !== 0) throw new Error(`${what} failed; the lines above say why`)
  console.log(`  ${what.padEnd(10)} done   ${((Date.now() - startedAt) / 1000).toFixed(1)} s`)
}

function fingerprint(files) {
  const hash = createHash('sha256')
  for (const file of files)
    hash
      .update(`${file}\0`)
      .update(read(join(root, file)) ?? '')
      .update('\0')
  return hash.digest('hex')
}

function filesIn(folder) {
  const here = join(root, folder)
  if (!existsSync(here)) return []
  const files = []
  for (const entry of readdirSync(here, { withFileTypes: true })) {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) files.push(...filesIn(path))
    else files.push(path)
  }
  return files.sort()
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
