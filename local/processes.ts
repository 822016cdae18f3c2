import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** A process that cannot be mistaken for a later one with the same number. */
export interface ProcessIdentity {
  pid: number
  started: string
}

/** When the process began, in the words of the system; null when there is no such process (a zombie is none). */
export function startOf(pid: number): string | null {
  return process.platform === 'linux' ? startFromProc(pid) : startFromPs(pid)
}

/** Who we are. */
export function ownIdentity(): ProcessIdentity {
  return { pid: process.pid, started: startOf(process.pid) ?? 'unknown' }
}

/** Whether exactly this process still lives. */
export function isAlive(identity: ProcessIdentity): boolean {
  return startOf(identity.pid) === identity.started
}

/** Sends the signal, waits, then kills. Touches no process but exactly this one. */
export async function stopProcess(
  identity: ProcessIdentity,
  signal: NodeJS.Signals,
  graceMs: number,
): Promise<void> {
  if (!isAlive(identity)) return
  send(identity.pid, signal)
  if (await isGoneWithin(identity, graceMs)) return
  send(identity.pid, 'SIGKILL')
  await isGoneWithin(identity, 2000)
}

async function isGoneWithin(identity: ProcessIdentity, withinMs: number): Promise<boolean> {
  const untilMs = performance.now() + withinMs
  while (performance.now() < untilMs) {
    if (!isAlive(identity)) return true
    await sleep(25)
  }
  return !isAlive(identity)
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended between the look and the signal, which is what we wanted.
  }
}

/** Clock ticks since boot, so the boot is part of the answer. */
function startFromProc(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command is in brackets and may hold spaces and brackets itself; the fields after it may not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state] = fields
    const ticks = fields[19]
    if (ticks === undefined || state === 'Z' || state === 'X') return null
    return `${ticks}@${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()}`
  } catch {
    return null
  }
}

function startFromPs(pid: number): string | null {
  try {
    const env = { ...process.env, LC_ALL: 'C' }
    const shown = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
      encoding: 'utf8',
      env,
    }).trim()
    const [state, ...start] = shown.split(/\s+/)
    return state === undefined || state.startsWith('Z') || start.length === 0 ? null : start.join(' ')
  } catch {
    return null
  }
}
