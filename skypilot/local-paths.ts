import { homedir } from 'node:os'
import { resolve } from 'node:path'
import { type Document, isAlias, isMap, isScalar, isSeq, parseAllDocuments, type YAMLMap } from 'yaml'
import { InvalidError } from './errors.ts'

/** A place in the text that is to read otherwise. */
interface Edit {
  start: number
  end: number
  text: string
}

export interface LocalPaths {
  /** The task with each local path absolute, and the mapping in which the server looks it up. */
  task: string
  /** Absolute, and in need of an upload. */
  paths: string[]
}

/** Buckets and the like stay what they are. */
const REMOTE = /^[a-z][a-z0-9+.-]*:\/\/[^/]/i

/**
 * Finds the paths of this machine in the YAML of a task. Only they are changed: the rest of the text stays as it is
 * written, since SkyPilot's parser reads some values otherwise than ours.
 * @throws InvalidError for a text that is not YAML, or a task whose paths were uploaded before
 */
export function localPaths(task: string, folder: string, workdirOnly: boolean): LocalPaths {
  const paths = new Set<string>()
  const edits: Edit[] = []
  const documents = parseAllDocuments(task)
  for (const document of Array.isArray(documents) ? documents : []) {
    const [problem] = document.errors
    if (problem) throw new InvalidError(`the task is not YAML: ${problem.message}`, { cause: problem })
    const root: unknown = document.contents
    if (!isMap(root)) continue
    const found = pathsOf(root, document, workdirOnly)
    if (found.length === 0) continue
    const absolute = found.map(({ path }) => resolve(folder, path.replace(/^~(?=\/|$)/, homedir())))
    for (const [index, { start, end }] of found.entries())
      edits.push({ start, end, text: JSON.stringify(absolute[index]) })
    edits.push(mappingOf(root, new Set(absolute), task))
    for (const path of absolute) paths.add(path)
  }
  return { task: edited(task, edits), paths: [...paths] }
}

interface Found {
  path: string
  start: number
  end: number
}

function pathsOf(root: YAMLMap, document: Document.Parsed, workdirOnly: boolean): Found[] {
  const nodes = [root.get('workdir', true), ...(workdirOnly ? [] : [...mountsOf(root), ...keysOf(root)])]
  return nodes.flatMap((node) => {
    const scalar = isAlias(node) ? node.resolve(document) : node
    const range = isScalar(node) || isAlias(node) ? node.range : null
    if (!isScalar(scalar) || typeof scalar.value !== 'string' || !range || REMOTE.test(scalar.value))
      return []
    return [{ path: scalar.value, start: range[0], end: range[1] }]
  })
}

/** What is mounted: a path, or an object with one source or several. */
function mountsOf(root: YAMLMap): unknown[] {
  const mounts = root.get('file_mounts')
  if (!isMap(mounts)) return []
  return mounts.items.flatMap(({ value }) => {
    const source: unknown = isMap(value) ? value.get('source', true) : value
    return isSeq(source) ? source.items : [source]
  })
}

function keysOf(root: YAMLMap): unknown[] {
  const tls = root.getIn(['service', 'tls'])
  return isMap(tls) ? [tls.get('keyfile', true), tls.get('certfile', true)] : []
}

/** The mapping goes in front of the first field, which has the indentation that it must have too. */
function mappingOf(root: YAMLMap, paths: ReadonlySet<string>, text: string): Edit {
  if (root.has('file_mounts_mapping'))
    throw new InvalidError('file_mounts_mapping: this task was uploaded before')
  const mapping = JSON.stringify(Object.fromEntries([...paths].map((path) => [path, path])))
  const start = root.range?.[0] ?? 0
  if (root.flow) return { start: start + 1, end: start + 1, text: `"file_mounts_mapping": ${mapping}, ` }
  const indentation = text.slice(text.lastIndexOf('\n', start - 1) + 1, start)
  return { start, end: start, text: `file_mounts_mapping: ${mapping}\n${indentation}` }
}

function edited(text: string, edits: Edit[]): string {
  const backwards = edits.sort((a, b) => b.start - a.start)
  return backwards.reduce(
    (result, { start, end, text: put }) => result.slice(0, start) + put + result.slice(end),
    text,
  )
}
