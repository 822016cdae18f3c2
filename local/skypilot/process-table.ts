import { readdirSync, readFileSync } from 'node:fs'

const isLinux = process.platform === 'linux'

/** A process that cannot be mistaken for a later one with the same number. */
export interface Identity {
  pid: number
  /** The boot that it belongs to; empty where the system does not tell. */
  boot: string
  /** When it began, in ticks of that boot; empty where the system does not tell. */
  start: string
}

/** The fields of `/proc/<pid>/stat` that matter here. The command in brackets may hold anything, so it is cut off. */
export function parseStat(stat: string): { state: string; group: number; start: string } {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', group: Number(fields[2]), start: fields[19] ?? '' }
}

/** Whether exactly this process lives. A dead one that nobody has collected does not. */
export function isAlive({ pid, boot, start }: Identity): boolean {
  if (!isLinux || start === '') return signalGroup(pid, 0)
  if (boot !== bootId()) return false
  const now = statOf(pid)
  return now !== undefined && now.start === start && isLiving(now.state)
}

/**
 * Whether anything lives in the group that this process leads or led. A number is not given out again while its
 * group lives, so only another boot or another living leader shows that the group is not this one.
 */
export function isGroupAlive(leader: Identity): boolean {
  if (isLinux && leader.start !== '') {
    if (leader.boot !== bootId()) return false
    const now = statOf(leader.pid)
    if (now !== undefined && now.start !== leader.start) return false
  }
  if (!signalGroup(leader.pid, 0)) return false
  return !isLinux || livingGroups().has(leader.pid)
}

/** Sends a signal to each process of a group; 0 only asks whether there are any. */
export function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  // 0 and 1 would mean our own group and everybody.
  if (!Number.isSafeInteger(group) || group <= 1) return false
  try {
    process.kill(-group, signal)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

const GROUPS_FOR_MS = 10
let groups = new Set<number>()
let groupsAtMs = Number.NEGATIVE_INFINITY

/** The groups with a living process. Read once for all who ask in the same moment: it means reading all of /proc. */
function livingGroups(): Set<number> {
  if (performance.now() - groupsAtMs < GROUPS_FOR_MS) return groups
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => statOf(Number(name)))
  groups = new Set(stats.flatMap((stat) => (stat && isLiving(stat.state) ? [stat.group] : [])))
  groupsAtMs = performance.now()
  return groups
}

const isLiving = (state: string): boolean => state !== 'Z' && state !== 'X'

function statOf(pid: number): ReturnType<typeof parseStat> | undefined {
  const text = textOf(`/proc/${pid}/stat`)
  return text === undefined ? undefined : parseStat(text)
}

let boot: string | undefined

function bootId(): string {
  boot ??= textOf('/proc/sys/kernel/random/boot_id')?.trim() ?? ''
  return boot
}

/** The text of a file; nothing when it cannot be read. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
