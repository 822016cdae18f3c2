import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * Runs one node of a job. Everything about it is a file, so that a server that comes back knows how it stands:
 * `claim` (made once: two of these can never both run the command), `pid`, `started` once setup is done, `exit`.
 */
const WRAPPER = `
mkdir "$1/claim" 2>/dev/null || exit 0
echo $$ > "$1/pid.new" && mv "$1/pid.new" "$1/pid"
finish() { echo "$1 $2" > "$3/exit.new" && mv "$3/exit.new" "$3/exit"; exit 0; }
SHELL_OF_JOB=$(command -v bash || echo sh)
cd "$1/../work" || finish run 1 "$1"
if [ -f "$1/setup.sh" ]; then
  "$SHELL_OF_JOB" "$1/setup.sh"; code=$?
  [ $code -eq 0 ] || finish setup $code "$1"
fi
: > "$1/started"
"$SHELL_OF_JOB" "$1/run.sh"
finish run $? "$1"
`

export interface NodeSpec {
  /** The node's own folder, inside the job's. */
  folder: string
  setup: string | null
  run: string
  env: Record<string, string>
}

export type NodeStand =
  | { kind: 'setting-up' | 'running' }
  | { kind: 'ended'; phase: 'setup' | 'run'; code: number }
  | { kind: 'lost' }

/** Starts a node's process as the leader of a group of its own, which outlives us. `onExit` is called at its end. */
export function startNode(spec: NodeSpec, onExit: () => void): void {
  mkdirSync(spec.folder, { recursive: true })
  mkdirSync(join(spec.folder, '..', 'work'), { recursive: true })
  if (spec.setup !== null) writeFileSync(join(spec.folder, 'setup.sh'), spec.setup)
  writeFileSync(join(spec.folder, 'run.sh'), spec.run)
  const log = openSync(join(spec.folder, 'output.log'), 'a')
  const child = spawn('sh', ['-c', WRAPPER, 'skypilot-node', spec.folder], {
    detached: true,
    stdio: ['ignore', log, log],
    env: spec.env,
  })
  closeSync(log)
  child.on('exit', onExit)
  child.on('error', onExit)
  child.unref()
}

/** How a node stands, from its files and the process table. */
export function standOf(folder: string): NodeStand {
  const exit = textOf(join(folder, 'exit'))
  if (exit !== undefined) {
    const [phase, code] = exit.trim().split(' ')
    return { kind: 'ended', phase: phase === 'setup' ? 'setup' : 'run', code: Number(code) }
  }
  if (!isOurs(pidOf(folder), folder))
    return textOf(join(folder, 'exit')) === undefined ? { kind: 'lost' } : standOf(folder)
  return { kind: existsSync(join(folder, 'started')) ? 'running' : 'setting-up' }
}

/** True once a process has taken the node: from then on it must not be started again. */
export const isClaimed = (folder: string): boolean => existsSync(join(folder, 'claim'))

export const pidOf = (folder: string): number | undefined => {
  const text = textOf(join(folder, 'pid'))
  return text === undefined ? undefined : Number(text)
}

/** Signals the whole process group of a node. Does nothing when the number belongs to somebody else by now. */
export function signalNode(folder: string, signal: NodeJS.Signals): void {
  const pid = pidOf(folder)
  if (pid !== undefined && isGroupOurs(pid, folder)) send(pid, signal)
}

/** Whether anything of a node's process group still runs. */
export function isGroupAlive(folder: string): boolean {
  const pid = pidOf(folder)
  if (pid === undefined || !isGroupOurs(pid, folder) || !send(pid, 0)) return false
  // A dead process that nobody has collected still answers to signals.
  return process.platform !== 'linux' || membersOf(pid).length > 0
}

function send(pid: number, signal: NodeJS.Signals | 0): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 1) return false
  try {
    process.kill(-pid, signal)
    return true
  } catch {
    return false
  }
}

/** A number is not used again while its group lives; so only a living leader can show that it is not ours. */
function isGroupOurs(pid: number, folder: string): boolean {
  const args = textOf(`/proc/${pid}/cmdline`)
  return args === undefined || args === '' || args.includes(folder)
}

/** The living processes of a group, by Linux's own table. */
function membersOf(group: number): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map(Number).filter((pid) => {
    const stat = textOf(`/proc/${pid}/stat`)
    // The command is in brackets and may hold anything; the fields after it are: state, parent, group.
    const [state, , pgrp] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
    return Number(pgrp) === group && state !== 'Z' && state !== 'X'
  })
}

/** Is this process the wrapper of this node? A number alone proves nothing: they are used again. */
function isOurs(pid: number | undefined, folder: string): boolean {
  if (pid === undefined) return false
  const args = textOf(`/proc/${pid}/cmdline`)
  if (args !== undefined) return args.includes(folder)
  return process.platform !== 'linux' && send(pid, 0)
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
