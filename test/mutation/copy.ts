import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Report, verdictOf, type Verdict } from './judge.ts'
import type { Edit, Mutant } from './mutant.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const NOT_COPIED: ReadonlySet<string> = new Set(['.git', 'node_modules', 'dist', 'coverage', 'docs'])

/** What one run of tests is about. */
type Tests = Pick<Mutant, 'test' | 'project'>

/** The source with the edit in it. A text that is not there once would switch off nothing, or more than is meant. */
export function edited(source: string, { file, text, becomes }: Edit): string {
  const pieces = source.split(text)
  if (pieces.length !== 2)
    throw new Error(
      `${file} holds ${JSON.stringify(text)} ${pieces.length - 1} times, not once: name it anew`,
    )
  return pieces.join(becomes)
}

export const sourceOf = (file: string, root = ROOT): string => readFileSync(join(root, file), 'utf8')

/** The sources in a folder of their own, where they can be spoiled. Packages are those of the tree itself. */
export class Copy {
  readonly #folder = mkdtempSync(join(tmpdir(), 'skydeck-mutants-'))

  constructor() {
    for (const name of readdirSync(ROOT))
      if (!NOT_COPIED.has(name)) cpSync(join(ROOT, name), join(this.#folder, name), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(this.#folder, 'node_modules'))
  }

  /** What the test says of the mutant, which is taken back in any case. */
  async verdict(mutant: Mutant): Promise<Verdict> {
    const before = new Map(mutant.edits.map(({ file }) => [file, sourceOf(file, this.#folder)]))
    try {
      for (const edit of mutant.edits)
        writeFileSync(join(this.#folder, edit.file), edited(sourceOf(edit.file, this.#folder), edit))
      const [file, title] = mutant.test
      return verdictOf(await this.#run([mutant]), this.#folder, file, title)
    } finally {
      for (const [file, source] of before) writeFileSync(join(this.#folder, file), source)
    }
  }

  /** What these tests of one file say of the sources as they are, by their titles. */
  async unchanged(tests: readonly Tests[]): Promise<ReadonlyMap<string, Verdict>> {
    const report = await this.#run(tests)
    return new Map(tests.map(({ test }) => [test[1], verdictOf(report, this.#folder, ...test)]))
  }

  /** Runs tests of one file, and nothing else of it. */
  async #run(tests: readonly Tests[]): Promise<Report> {
    const [first] = tests
    if (!first) throw new Error('there is no test to run')
    const titles = tests.map(({ test: [, title] }) =>
      title.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`),
    )
    const outputFile = join(this.#folder, 'report.json')
    rmSync(outputFile, { force: true })
    const which = ['--project', first.project, first.test[0], '--testNamePattern', `(${titles.join('|')})$`]
    const said = await this.#vitest([...which, '--reporter=json', `--outputFile=${outputFile}`])
    try {
      return JSON.parse(readFileSync(outputFile, 'utf8')) as Report
    } catch {
      throw new Error(`the tests told nothing:\n${said}`)
    }
  }

  #vitest(args: readonly string[]): Promise<string> {
    const program = join(this.#folder, 'node_modules/vitest/vitest.mjs')
    const options = { cwd: this.#folder, env: surroundings() }
    return new Promise((resolve, reject) => {
      const child = spawn(process.execPath, [program, 'run', ...args], options)
      let said = ''
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
      child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
      child.once('error', reject)
      child.once('close', () => resolve(said))
    })
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Ours, without what tells a process that it is a part of the tests that run now. */
function surroundings(): NodeJS.ProcessEnv {
  // oxlint-disable-next-line node/no-process-env -- what is handed on
  const ours = Object.entries(process.env)
  return Object.fromEntries(ours.filter(([key]) => !key.startsWith('VITEST') && key !== 'NODE_ENV'))
}
