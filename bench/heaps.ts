import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where a thread notes what its heap holds. */
export const heapFile = (pid: number, threadId: number): string => `heap-${pid}-${threadId}`

/** What the heaps of all threads of a process hold after they have collected their garbage, in MiB. */
export function heapMiBOf(folder: string, pid: number): number {
  const files = readdirSync(folder).filter((file) => file.startsWith(`heap-${pid}-`))
  return files.reduce((sum, file) => sum + Number(readFileSync(join(folder, file), 'utf8')) / 2 ** 20, 0)
}
