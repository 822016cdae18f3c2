import type { SkyPilot } from '../skypilot/client.ts'

interface LogOptions {
  follow: boolean
  /** The last so many lines; all of them without it. */
  tail?: number | undefined
  signal: AbortSignal
}

/** Opens the log of a job, wherever it runs. */
export function openLog(
  skypilot: SkyPilot,
  job: { jobId: number; clusterName: string | null },
  { follow, tail, signal }: LogOptions,
): Promise<AsyncIterable<string>> {
  const options = { jobId: job.jobId, follow, signal, ...(tail ? { tail } : {}) }
  return job.clusterName === null
    ? skypilot.jobs.tailLogs(options)
    : skypilot.clusters.tailLogs({ name: job.clusterName, ...options })
}
