import { cpSync, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode } from '@temporalio/worker'

// What the compiler leaves to do after it has filled dist/: one bundle of the workflows, and the files that are
// not TypeScript.
const root = fileURLToPath(new URL('../../', import.meta.url))
const dist = join(root, 'dist')

const silent = () => undefined
const { code } = await bundleWorkflowCode({
  workflowsPath: join(dist, 'workflows/index.js'),
  payloadConverterPath: join(dist, 'workflows/payload-converter.js'),
  // Evaluated once for all workflows of a worker, not once for each: our modules hold nothing that changes, and what
  // they export is frozen then. It is most of what a cached workflow would take of memory.
  preloadModules: [join(dist, 'workflows/index.js')],
  logger: {
    log: silent,
    trace: silent,
    debug: silent,
    info: silent,
    warn: (message) => process.stderr.write(`${message}\n`),
    error: (message) => process.stderr.write(`${message}\n`),
  },
})
writeFileSync(join(dist, 'workflow-bundle.js'), code)

const migrations = join(dist, 'store/migrations')
rmSync(migrations, { recursive: true, force: true })
copyIfPresent(join(root, 'store/migrations'), migrations)

const assets = join(dist, 'views/assets')
mkdirSync(assets, { recursive: true })
copyIfPresent(join(root, 'views/assets'), assets)
function copyIfPresent(from: string, to: string): void {
  if (existsSync(from)) cpSync(from, to, { recursive: true })
}
