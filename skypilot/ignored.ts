import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const LISTING_BYTES_MAX = 256 * 1024 * 1024

/** Says of a path below a folder (with `/`, no leading one) whether it stays behind, and all that is in it. */
export type IsIgnored = (path: string, isFolder: boolean) => boolean

/**
 * What SkyPilot leaves behind of a folder: what its `.skyignore` names, or without one, what git ignores there.
 * @throws Error when git fails for another reason than that this is no repository or that there is no git
 */
export async function ignoredIn(folder: string): Promise<IsIgnored> {
  const patterns = await readPatterns(join(folder, '.skyignore'))
  if (patterns) return (path, isFolder) => patterns.some((pattern) => pattern(path, isFolder))
  const ignored = await ignoredByGit(folder)
  return (path) => ignored.has(path)
}

async function readPatterns(path: string): Promise<IsIgnored[] | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  const lines = text.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map(patternOf)
}

/**
 * A line of `.skyignore` as SkyPilot reads it (`sky/data/storage_utils.py`): a glob of Python's, at any depth unless it
 * starts with `/`. Names that start with a dot are met only by patterns that do so too, and there is no negation.
 */
function patternOf(line: string): IsIgnored {
  const onlyFolders = line.endsWith('/')
  const segments = (line.startsWith('/') ? line : `**/${line}`).split('/').filter((segment) => segment !== '')
  const tests = segments.map((segment) => (segment === '**' ? null : segmentTest(segment)))
  return (path, isFolder) => (isFolder || !onlyFolders) && matches(tests, path.split('/'))
}

type SegmentTest = ((name: string) => boolean) | null

/** A null test stands for `**`, which is any number of folders. */
function matches(tests: readonly SegmentTest[], names: readonly string[]): boolean {
  const [test, ...rest] = tests
  const [name, ...below] = names
  if (test === undefined) return names.length === 0
  if (test === null)
    return matches(rest, names) || (name !== undefined && !name.startsWith('.') && matches(tests, below))
  return name !== undefined && test(name) && matches(rest, below)
}

function segmentTest(segment: string): (name: string) => boolean {
  const isGlob = /[*?[]/.test(segment)
  if (!isGlob) return (name) => name === segment
  const source = segment.replaceAll(/\[!?[^\]]+\]|[*?]|[^*?[]+|\[/g, (part) => {
    if (/^\*+$/.test(part)) return '.*'
    if (part === '?') return '.'
    if (part.length > 1 && part.startsWith('['))
      return part.replace(/^\[!/, '[^').replaceAll('\\', String.raw`\\`)
    return part.replaceAll(/[\\^$.|+(){}[\]]/g, String.raw`\$&`)
  })
  const pattern = new RegExp(`^${source}$`, 's')
  const meetsHidden = segment.startsWith('.')
  return (name) => (meetsHidden || !name.startsWith('.')) && pattern.test(name)
}

/** Paths that git leaves out: of the repository that the folder is in, and of its submodules below the folder. */
async function ignoredByGit(folder: string): Promise<Set<string>> {
  const listed = await git(folder, ['ls-files', '-z', '--stage'])
  if (listed === null) return new Set()
  const submodules = listed
    .filter((line) => line.startsWith('160000 '))
    .map((line) => line.split('\t')[1] ?? '')
  const ignored = new Set<string>()
  for (const repository of ['', ...submodules]) {
    const paths = await git(join(folder, repository), [
      'ls-files',
      '-z',
      '--others',
      '--ignored',
      '--exclude-standard',
      '--directory',
    ])
    // All of it is ignored: then it is not meant, for somebody asked for the folder by name.
    if (repository === '' && paths?.includes('./')) return new Set()
    for (const path of paths ?? []) ignored.add(join(repository, path).replace(/\/$/, ''))
  }
  return ignored
}

/** What git lists; null where there is no repository, or no git. Never runs what a repository's settings name. */
async function git(folder: string, command: readonly string[]): Promise<string[] | null> {
  try {
    const { stdout } = await run('git', ['-C', folder, '-c', 'core.fsmonitor=false', ...command], {
      maxBuffer: LISTING_BYTES_MAX,
    })
    return stdout.split('\0').filter((line) => line !== '')
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (isAbsent || said.includes('not a git repository')) return null
    throw new Error(`git cannot say what to leave out of ${folder}: ${said.trim()}`, { cause: error })
  }
}
