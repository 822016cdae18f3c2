import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

/** The files that users of the SkyPilot SDK import. Whatever these export is its API, and nothing else is. */
export const ENTRIES = [
  'skypilot/client.ts',
  'skypilot/connection.ts',
  'skypilot/endpoint.ts',
  'skypilot/errors.ts',
  'skypilot/resources.ts',
  'skypilot/statuses.ts',
  'skypilot/storage.ts',
  'skypilot/task.ts',
]

export const REPORT = join(root, 'docs', 'skypilot-sdk.api.md')
export const REGENERATE = 'npm run api:skypilot'

/** Runs the compiler over some files with the settings of the project; its complaints as text, empty without any. */
export async function compile(files: readonly string[], options: Record<string, unknown>): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'skypilot-compile-'))
  try {
    const config = {
      extends: join(root, 'tsconfig.json'),
      compilerOptions: { rootDir: '/', typeRoots: [join(root, 'node_modules', '@types')], ...options },
      files,
      include: [],
    }
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
    await run(join(root, 'node_modules', '.bin', 'tsc'), ['-p', folder], { maxBuffer: 64 * 1024 * 1024 })
    return ''
  } catch (error) {
    if (error instanceof Error && 'stdout' in error) return String(error.stdout)
    throw error
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The declarations of all that the entries reach, without comments, entries first. */
export async function apiReport(): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'skypilot-api-'))
  try {
    const complaints = await compile(
      ENTRIES.map((entry) => join(root, entry)),
      {
        rootDir: root,
        outDir: folder,
        declaration: true,
        emitDeclarationOnly: true,
        removeComments: true,
        sourceMap: false,
      },
    )
    if (complaints) throw new Error(complaints)
    const declarations = reached(folder)
    const others = [...declarations.keys()].filter((file) => !ENTRIES.includes(file)).sort()
    const parts = [...ENTRIES, ...others].map(
      (file) => `## ${file}\n\n\`\`\`ts\n${declarations.get(file) ?? ''}\`\`\`\n`,
    )
    return [HEAD, ...parts].join('\n')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const HEAD = `# The API of the SkyPilot SDK

Made from the declarations of \`skypilot/\` by \`${REGENERATE}\`, and compared with them by a test: a change of the API
shows here, in review. The first ${ENTRIES.length} files are those that users import; the others hold the types that they speak of.
`

/** Declarations by source file, from the entries on along their imports. */
function reached(folder: string): Map<string, string> {
  const found = new Map<string, string>()
  const waiting = [...ENTRIES]
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (found.has(file)) continue
    const text = readFileSync(join(folder, file.replace(/\.ts$/, '.d.ts')), 'utf8')
    found.set(file, text.replaceAll(/\n{2,}/g, '\n'))
    for (const [, imported = ''] of text.matchAll(/(?:from |import\()["'](\.\/[^"']+)["']/g))
      waiting.push(join(dirname(file), imported.replace(/\.js$/, '.ts')))
  }
  return found
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(REPORT, await apiReport())
