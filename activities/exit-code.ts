import type { SkyPilot } from '../skypilot/client.ts'
import { stripAnsi } from '../skypilot/answers.ts'

const LINES = 30

/**
 * The exit code of a job on a cluster that failed. SkyPilot's queue does not tell it, only the end of its log does,
 * one for each node; the first that is not 0 counts. Null where it cannot be found: nobody waits for it.
 */
export async function exitCodeOnCluster(
  skypilot: SkyPilot,
  job: { name: string; jobId: number; signal: AbortSignal },
): Promise<number | null> {
  try {
    const log = await skypilot.clusters.tailLogs({ ...job, follow: false, tail: LINES })
    let code: number | null = null
    for await (const line of log) code = exitCodeInLog(line) ?? code
    return code
  } catch {
    job.signal.throwIfAborted()
    return null
  }
}

/** Reads `failed with return code list: [0, 7]`. */
export function exitCodeInLog(line: string): number | null {
  const match = /return code list:\s*\[([\d,\s]+)\]/.exec(stripAnsi(line))
  const codes = (match?.[1] ?? '').split(',').map(Number)
  return codes.find((code) => code !== 0) ?? null
}
