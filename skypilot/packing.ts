import type { Dirent } from 'node:fs'
import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { InvalidError } from './errors.ts'
import { ignoredIn, type IsIgnored } from './ignored.ts'
import type { ZipEntry } from './zip-writer.ts'

/**
 * Lists what is to be uploaded of files and folders, given by absolute paths: each entry keeps its whole path. Links
 * stay links, and are never followed out of the folder; sockets, pipes and devices stay behind.
 * @throws InvalidError for a path that does not exist, or a link that points out of its folder
 */
export async function entriesOf(paths: readonly string[]): Promise<ZipEntry[]> {
  const entries = new Map<string, ZipEntry>()
  for (const path of new Set(paths)) {
    const found = await stat(path).catch((error: unknown) => {
      throw new InvalidError(`${path} does not exist`, { cause: error })
    })
    if (!found.isDirectory() && !found.isFile())
      throw new InvalidError(`${path} is neither a file nor a folder`)
    const all = found.isDirectory() ? await folderEntries(path) : [await fileEntry(path)]
    for (const entry of all) entries.set(entry.name, entry)
  }
  return [...entries.values()]
}

/** Zip names have no leading slash; the server puts its own folder in front. */
const nameOf = (path: string): string => path.split(sep).join('/').replace(/^\/+/, '')

const folderEntry = async (path: string): Promise<ZipEntry> => ({
  kind: 'folder',
  name: `${nameOf(path)}/`,
  mode: (await stat(path)).mode,
})

const fileEntry = async (path: string): Promise<ZipEntry> => ({
  kind: 'file',
  name: nameOf(path),
  path,
  mode: (await stat(path)).mode,
})

async function folderEntries(folder: string): Promise<ZipEntry[]> {
  const root = { folder, real: await realpath(folder), isIgnored: await ignoredIn(folder) }
  return [await folderEntry(folder), ...(await below(root, folder))]
}

interface Root {
  folder: string
  real: string
  isIgnored: IsIgnored
}

async function below(root: Root, folder: string): Promise<ZipEntry[]> {
  const entries: ZipEntry[] = []
  const children = await readdir(folder, { withFileTypes: true })
  for (const child of children.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, child.name)
    const relativePath = relative(root.folder, path).split(sep).join('/')
    if (root.isIgnored(relativePath, await isFolder(child, path))) continue
    if (child.isSymbolicLink()) entries.push(await linkEntry(root, path))
    else if (child.isDirectory()) entries.push(await folderEntry(path), ...(await below(root, path)))
    else if (child.isFile()) entries.push(await fileEntry(path))
  }
  return entries
}

/** A link to a folder counts as one for patterns that mean folders only. */
async function isFolder(child: Dirent, path: string): Promise<boolean> {
  if (!child.isSymbolicLink()) return child.isDirectory()
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}

async function linkEntry(root: Root, path: string): Promise<ZipEntry> {
  const written = await readlink(path)
  const pointed = resolve(dirname(path), written)
  const real = await realpath(path).catch(() => null)
  // A dangling link is judged by what it says, any other by where it really leads.
  const isInside = isBelow(pointed, root.folder) && (real === null || isBelow(real, root.real))
  if (!isInside)
    throw new InvalidError(
      `${path} points out of the folder, to ${written}: leave it out in .skyignore, or put a copy in its place`,
    )
  const target = isAbsolute(written) ? relative(dirname(path), written) : written
  const isToFolder = real !== null && (await lstat(real)).isDirectory()
  return { kind: 'link', name: nameOf(path) + (isToFolder ? '/' : ''), target }
}

const isBelow = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep)
