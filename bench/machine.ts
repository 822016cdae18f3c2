import { readFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'

/** Linux counts the CPU time that it tells in hundredths of a second. */
const TICK_MS = 10

/** CPU time of one process since it began, in ms; 0 for one that is gone. */
export function cpuMsOf(pid: number): number {
  const { user, system } = statOf(pid)
  return (user + system) * TICK_MS
}

/** CPU time of a process, of all that it started, and of those of them that have ended, in ms. */
export function treeCpuMsOf(pid: number): number {
  const { user, system, endedUser, endedSystem } = statOf(pid)
  const own = (user + system + endedUser + endedSystem) * TICK_MS
  return childrenOf(pid).reduce((sum, child) => sum + treeCpuMsOf(child), own)
}

/** What a process holds in memory now, in MiB; 0 for one that is gone. */
export function rssMiBOf(pid: number): number {
  const kiB = /^VmRSS:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1]
  return Number(kiB ?? 0) / 1024
}

const loadOfMinute = (): number => loadavg()[0] ?? 0

/** Notes what else the machine did from now on. Everything measured is a child of this process. */
export function watchMachine(): () => { load: readonly [number, number]; foreignCpu: number } {
  const before = {
    atMs: performance.now(),
    busyMs: busyMs(),
    ownMs: treeCpuMsOf(process.pid),
    load: loadOfMinute(),
  }
  return () => {
    const ownMs = treeCpuMsOf(process.pid) - before.ownMs
    const couldMs = (performance.now() - before.atMs) * availableParallelism()
    const foreignMs = busyMs() - before.busyMs - ownMs
    return {
      load: [before.load, loadOfMinute()],
      foreignCpu: Math.min(1, Math.max(0, foreignMs / Math.max(couldMs, 1))),
    }
  }
}

interface Stat {
  user: number
  system: number
  endedUser: number
  endedSystem: number
}

function statOf(pid: number): Stat {
  const text = read(`/proc/${pid}/stat`)
  // The command is in brackets and may hold spaces and brackets itself; the fields after it may not.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const field = (index: number): number => Number(fields[index] ?? 0)
  return { user: field(11), system: field(12), endedUser: field(13), endedSystem: field(14) }
}

const childrenOf = (pid: number): number[] => {
  const all = read(`/proc/${pid}/task/${pid}/children`).trim()
  return all === '' ? [] : all.split(/\s+/).map(Number)
}

/** CPU time that the machine has spent on anything but waiting, in ms. */
function busyMs(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    read('/proc/stat').split('\n', 1)[0]?.trim().split(/\s+/).slice(1).map(Number) ?? []
  return (user + nice + system + irq + softirq) * TICK_MS
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // It ended meanwhile: what is gone uses nothing.
    return ''
  }
}
