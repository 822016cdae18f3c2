/* oxlint-disable no-console, import/no-unresolved */
// Plain JavaScript outside the compiler's view, so rules that need types cannot judge it:
/* oxlint-disable typescript/no-unsafe-assignment, typescript/no-unsafe-call, typescript/no-unsafe-argument */
/* oxlint-disable typescript/no-unsafe-member-access, typescript/no-unsafe-return */
/* oxlint-disable typescript/require-array-sort-compare */

// The way in on a machine that has only Node, of whatever version: installs, builds, then hands over to the Node
// that the project brings along.
//   start [--port ...]  runs SkyDeck
//   test                runs the tests; the last line is `N passed, N failed`. With SKYDECK_TEST_REAL=1 those too that
//                       need a real SkyPilot API server, which is installed and started for it (root on Debian)
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
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

/** A real server that hangs must not take the whole run. */
const REAL_TIMEOUT_MS = 25 * 60_000

// The crashes that tell most; `npm run test:skypilot` runs all of them.
const REAL_STORIES = 'launch is in flight|worker is killed|killed during RUNNING'

const [, , command, ...rest] = process.argv
try {
  if (command === 'start') await start(rest)
  else if (command === 'test') await test(rest)
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
async function test(args) {
  const folder = mkdtempSync(join(tmpdir(), 'skydeck-'))
  const sum = { passed: 0, failed: 0, failures: [] }
  let real
  try {
    real = await beginReal(folder, args)
    prepare()
    vitest(sum, folder, args)
    const { endpoint, why } = await real.ready()
    console.log(`\nThe tests on a real SkyPilot API server ${endpoint ? 'run now' : `do not run: ${why}`}`)
    if (endpoint) for (const project of ['contract', 'real']) onReal(sum, folder, project, endpoint)
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    sum.failed += 1
    sum.failures.push('the run itself, as said above')
  } finally {
    real?.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  // Again at the end, where whoever sees only the last lines of a long run finds them.
  for (const failure of sum.failures) console.log(`failed: ${failure}`)
  console.log(`${sum.passed} passed, ${sum.failed} failed`)
  process.exitCode = sum.failed === 0 ? 0 : 1
}

/** One after the other, for real launches take all the CPU that there is. */
function onReal(sum, folder, project, endpoint) {
  const env = { SKYDECK_CONTRACT_ENDPOINT: endpoint, SKYDECK_CONTRACT_INFRA: 'slurm' }
  const stories = project === 'real' ? ['-t', REAL_STORIES] : []
  vitest(sum, folder, ['--project', project, ...stories], { env, timeout: REAL_TIMEOUT_MS })
}

/** Installing it changes the machine, so only those who ask for it get it. */
async function beginReal(folder, args) {
  const isWanted = process.env.SKYDECK_TEST_REAL === '1' && args.length === 0
  const why = 'SKYDECK_TEST_REAL=1 asks for them'
  if (!isWanted) return { ready: () => Promise.resolve({ why }), stop: () => undefined }
  const { startRealSkyPilot } = await import('../test/support/real-skypilot.mjs')
  return startRealSkyPilot(folder)
}

/** Runs vitest once and adds up what came of it. */
function vitest(sum, folder, args, options = {}) {
  const report = join(mkdtempSync(join(folder, 'report-')), 'report.json')
  const program = join(root, 'node_modules/vitest/vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${report}`]
  const status = run(node(), [program, 'run', ...reporters, ...args], options)
  const seen = JSON.parse(readFileSync(report, 'utf8'))
  // A file that could not even be loaded has no tests to count, yet it failed.
  const unloaded = seen.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  )
  const failed = seen.numFailedTests + unloaded.length
  sum.passed += seen.numPassedTests
  sum.failed += failed === 0 && status !== 0 ? 1 : failed
  sum.failures.push(...seen.testResults.flatMap(failuresOf))
  if (failed === 0 && status !== 0) sum.failures.push(`vitest ended with ${status}`)
}

/** What failed in one file, each with the beginning of the reason. */
function failuresOf({ name, status, message, assertionResults }) {
  const failed = assertionResults.filter((each) => each.status === 'failed')
  const file = relative(root, name)
  if (failed.length === 0) return status === 'failed' ? [`${file}: ${firstLine(message)}`] : []
  return failed.map(
    ({ fullName, failureMessages }) => `${file}: ${fullName}: ${firstLine(failureMessages[0])}`,
  )
}

function firstLine(text = '') {
  return text.split('\n', 1)[0].slice(0, 300)
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

function run(program, args, { env = {}, timeout } = {}) {
  const ended = spawnSync(program, args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...withTools(), ...env },
    timeout,
  })
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
