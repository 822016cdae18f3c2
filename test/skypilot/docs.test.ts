import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createSkyPilot } from '../../skypilot/client.ts'
import { compile } from '../support/api-report.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const docs = readFileSync(join(root, 'docs', 'skypilot-sdk.md'), 'utf8')
const examples = [...docs.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code = '']) => code)

/** What every example may speak of. */
const PRELUDE = `import type { SkyPilot } from './skypilot/client.ts'
import type { Task as SomeTask } from './skypilot/task.ts'
declare const sky: SkyPilot
declare const task: SomeTask
declare const id: string
`

/** All functions of the client, such as `clusters.launch`. */
function functionsOf(value: object, prefix = ''): string[] {
  return Object.entries(value).flatMap(([name, each]: [string, unknown]) => {
    if (typeof each === 'function') return [prefix + name]
    return typeof each === 'object' && each !== null ? functionsOf(each, `${prefix}${name}.`) : []
  })
}
const functions = functionsOf(createSkyPilot({ endpoint: 'http://127.0.0.1:1' }))

test('every example compiles', { timeout: 180_000 }, async () => {
  expect(examples.length).toBeGreaterThan(40)
  const folder = mkdtempSync(join(tmpdir(), 'skypilot-docs-'))
  try {
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    const files = examples.map((code, index) => {
      const file = join(folder, `example-${index + 1}.ts`)
      writeFileSync(file, (PRELUDE + code).replaceAll("'./skypilot/", `'${root}skypilot/`))
      return file
    })
    const options = { noEmit: true, noUnusedLocals: false, rewriteRelativeImportExtensions: false }
    expect(await compile(files, options)).toBe('')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test.each(functions)('sky.%s has an example, and a line in the table of what is verified', (name) => {
  expect(examples.some((code) => code.includes(`ky.${name}(`))).toBe(true)
  expect(docs).toMatch(new RegExp(`^\\|.*\`${name.replaceAll('.', String.raw`\.`)}\``, 'm'))
})

test('the table has no function that is not there', () => {
  const listed = [...docs.matchAll(/^\| `sky\.[^|]*\|([^|]*)\|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  )
  expect(listed.length).toBeGreaterThan(30)
  const known = new Set([...functions, 'Task', 'Resources'])
  expect(listed.filter((name) => !known.has(name) && !name.startsWith('handle.'))).toEqual([])
})
