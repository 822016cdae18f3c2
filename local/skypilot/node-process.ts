import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Identity, isAlive, isGroupAlive, parseStat, signalGroup, textOf } from './process-table.ts'

/**
 * Runs one node of a job. Everything about it is a file, so that a server that comes back knows how it stands:
 * `claim` (who runs it), `started` once setup is done, `exit`. The claim is a link, which is made at once and only
 * once: of two wrappers of a node only one ever gets to the command, and none does after the server took the claim.
 */
const WRAPPER = `
boot=; stat=
read -r boot 2>/dev/null < /proc/sys/kernel/random/boot_id
read -r stat 2>/dev/null < /proc/$$/stat
printf '%s\\n%s\\n%s\\n' "$$" "$boot" "$stat" > "$1/claim.$$" || exit 1
ln "$1/claim.$$" "$1/claim" 2>/dev/null || { rm -f "$1/claim.$$"; exit 0; }
finish() { echo "$1 $2" > "$3/exit.new" && mv "$3/exit.new" "$3/exit"; exit 0; }
shell=$(command -v bash || echo sh)
cd "$2" || finish run 1 "$1"
if [ -f "$1/setup.sh" ]; then
  "$shell" "$1/setup.sh"; code=$?
  [ $code -eq 0 ] || finish setup $code "$1"
fi
: > "$1/started"
"$shell" "$1/run.sh"
finish run $? "$1"
`

export interface NodeSpec {
  /** The node's own folder, inside the job's. */
  folder: string
  setup: string | null
  run: string
  env: Record<string, string>
  /** The working directory; `work` beside the node's folder unless it is given. */
  directory?: string
}

/** How a node stands. `unclaimed`: no process has begun it; `lost`: its process is gone without a word. */
export type NodeStand =
  | { kind: 'unclaimed' | 'setting-up' | 'running' | 'lost' }
  | { kind: 'ended'; phase: 'setup' | 'run'; code: number }

/**
 * Starts a node's process as the leader of a group of its own, which outlives us.
 * `onExit` is called at its end, with an error when there was no beginning.
 */
export function startNode(spec: NodeSpec, onExit: (error?: Error) => void): void {
  mkdirSync(spec.folder, { recursive: true })
  const directory = spec.directory ?? join(spec.folder, '..', 'work')
  mkdirSync(directory, { recursive: true })
  if (spec.setup !== null) writeScript(join(spec.folder, 'setup.sh'), spec.setup)
  writeScript(join(spec.folder, 'run.sh'), spec.run)
  const log = openSync(logOf(spec.folder), 'a')
  try {
    const child = spawn('sh', ['-c', WRAPPER, 'skypilot-node', spec.folder, directory], {
      detached: true,
      stdio: ['ignore', log, log],
      env: spec.env,
    })
    child.on('exit', () => onExit())
    child.on('error', onExit)
    child.unref()
  } finally {
    closeSync(log)
  }
}

/** Another process of the node may be reading it already, and must not see half of it. */
function writeScript(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

/** How a node stands, from its files and the process table. */
export function standOf(folder: string): NodeStand {
  const text = textOf(join(folder, 'claim'))
  if (text === undefined) return { kind: 'unclaimed' }
  const ended = endOf(folder)
  if (ended) return ended
  const claim = parseClaim(text)
  // It may have ended between the two looks.
  if (!claim || !isAlive(claim)) return endOf(folder) ?? { kind: 'lost' }
  return { kind: startedAt(folder) === undefined ? 'setting-up' : 'running' }
}

function endOf(folder: string): Extract<NodeStand, { kind: 'ended' }> | undefined {
  const [phase, code] = textOf(join(folder, 'exit'))?.trim().split(' ') ?? []
  if (phase === undefined || code === undefined) return undefined
  return { kind: 'ended', phase: phase === 'setup' ? 'setup' : 'run', code: Number(code) }
}

/** Takes a node that no process has begun, so that none ever will. */
export function forbid(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'claim'), '', { flag: 'wx' })
  } catch {
    // A process was quicker; it is dealt with like any other.
  }
}

/** When the node's command began and ended, in seconds since the epoch. */
export const startedAt = (folder: string): number | undefined => changedAt(join(folder, 'started'))
export const endedAt = (folder: string): number | undefined => changedAt(join(folder, 'exit'))

/** Where a node's output is. */
export const logOf = (folder: string): string => join(folder, 'output.log')

/** The number of a node's process, while it lives or after. */
export const pidOf = (folder: string): number | undefined => claimOf(folder)?.pid

/** Signals the whole process group of a node. Does nothing when the number belongs to somebody else by now. */
export function signalNode(folder: string, signal: NodeJS.Signals): void {
  const claim = claimOf(folder)
  if (claim && isGroupAlive(claim)) signalGroup(claim.pid, signal)
}

/** Whether anything of a node's process group still runs. */
export function isNodeAlive(folder: string): boolean {
  const claim = claimOf(folder)
  return claim !== undefined && isGroupAlive(claim)
}

function claimOf(folder: string): Identity | undefined {
  return parseClaim(textOf(join(folder, 'claim')) ?? '')
}

function parseClaim(text: string): Identity | undefined {
  const [pid, boot, stat] = text.split('\n')
  if (!pid) return undefined
  return { pid: Number(pid), boot: boot ?? '', start: stat ? parseStat(stat).start : '' }
}

function changedAt(path: string): number | undefined {
  const { mtimeMs } = statSync(path, { throwIfNoEntry: false }) ?? {}
  return mtimeMs === undefined ? undefined : mtimeMs / 1_000
}
