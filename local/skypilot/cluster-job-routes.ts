import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, relative, resolve, sep } from 'node:path'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import { clusterJobRecord } from './cluster-records.ts'
import type { ClusterJobRow, ClusterRow } from './cluster-state.ts'
import { type Env, type Parts, readBody, type Sent, submit } from './exchange.ts'
import { taskOf } from './jobs.ts'
import { streamLog, TAIL_CODES } from './log-routes.ts'
import type { Tailed } from './log-tail.ts'
import { logOf } from './node-process.ts'
import { RequestFailure } from './requests.ts'
import { zip } from './zip.ts'

const flag = z
  .boolean()
  .nullish()
  .transform((value) => value ?? false)
const Named = z.object({ cluster_name: z.string() })
const Queue = Named.extend({ skip_finished: flag, all_users: flag })
const Some = Named.extend({ job_ids: z.array(z.int()).nullable() })
const Cancel = Some.extend({ all: flag, all_users: flag })
const Logs = Named.extend({
  job_id: z.int().nullable(),
  follow: z.boolean().default(true),
  tail: z.int().min(0).nullish(),
})
const Download = Named.extend({ job_ids: z.array(z.coerce.string()).nullable() })

/** The jobs on a cluster. */
export function clusterJobRoutes(app: Hono<Env>, parts: Parts): void {
  const { clusters, clusterState, listings } = parts
  app.post('/queue', async (c) => {
    const sent = await readBody(c, Queue)
    const { cluster_name: name, skip_finished: skip, all_users: allUsers } = sent.input
    const userId = sent.raw.user.id
    return submit(c, parts, 'queue', sent, () => {
      const row = clusters.upCluster(name, 'getting the job queue')
      return listings.clusterJobs
        .rows(c.req.path, userId)
        .filter((job) => job.hash === row.hash)
        .filter((job) => (allUsers || job.user_hash === userId) && !(skip && job.end_at !== null))
        .map(clusterJobRecord)
    })
  })
  app.post('/job_status', async (c) => {
    const sent = await readBody(c, Some)
    return submit(c, parts, 'job_status', sent, () => {
      const row = clusters.upCluster(sent.input.cluster_name, 'getting job status')
      const jobs = clusterState.jobs(row.hash)
      const ids = sent.input.job_ids ?? jobs.slice(0, 1).map((job) => job.job_id)
      return Object.fromEntries(
        ids.map((id) => [String(id), jobs.find((job) => job.job_id === id)?.status ?? null]),
      )
    })
  })
  app.post('/cancel', async (c) => {
    const sent = await readBody(c, Cancel)
    return submit(c, parts, 'cancel', sent, ({ say }) => cancelJobs(parts, sent, say))
  })
  app.post('/logs', async (c) => clusterLogs(c, parts, await readBody(c, Logs)))
  downloadRoutes(app, parts)
}

function cancelJobs(
  { clusters, clusterState, clusterJobs }: Parts,
  { input, raw }: Sent<z.infer<typeof Cancel>>,
  say: (line: string) => void,
): void {
  const row = clusters.upCluster(input.cluster_name, 'cancelling jobs')
  const jobs = clusterState.jobs(row.hash)
  const wanted = jobs.filter((job) => {
    if (input.job_ids !== null && input.job_ids.length > 0) return input.job_ids.includes(job.job_id)
    return input.all_users || (input.all && job.user_hash === raw.user.id)
  })
  const isLatest = !input.all && !input.all_users && (input.job_ids ?? []).length === 0
  const latest = jobs.find((job) => job.status === 'RUNNING' || job.status === 'SETTING_UP')
  const chosen = isLatest ? (latest ? [latest] : []) : wanted
  const cancelled = chosen.filter((job) => clusterJobs.cancel(row, job)).map((job) => job.job_id)
  say(cancelled.length === 0 ? 'No jobs cancelled.' : `Cancelled job ID(s): ${cancelled.join(', ')}`)
}

function clusterLogs(c: Context<Env>, parts: Parts, sent: Sent<z.infer<typeof Logs>>): Response {
  const { cluster_name: name, job_id: asked, follow, tail } = sent.input
  const { clusters, clusterState } = parts
  const order = { follow, tail: tail || null }
  let row: ClusterRow
  try {
    row = clusters.upCluster(name, 'tailing logs')
  } catch (failure) {
    if (!(failure instanceof RequestFailure)) throw failure
    return streamLog(c, parts, 'logs', sent, { ...order, words: '', job: undefined, code: () => 0, failure })
  }
  const job = asked === null ? clusterState.jobs(row.hash)[0] : clusterState.job(row.hash, asked)
  return streamLog(c, parts, 'logs', sent, {
    ...order,
    job: job && tailedJob(parts, job),
    code: () => codeOf(job && clusterState.job(row.hash, job.job_id)),
    ...(job ? {} : { words: `Job ${asked ?? ''} not found (see \`sky queue\`).\n` }),
  })
}

function tailedJob({ clusterState, clusterJobs }: Parts, job: ClusterJobRow): Tailed {
  // Its cluster may go meanwhile, and the row with it.
  const now = () => clusterState.job(job.hash, job.job_id)
  return {
    name: job.name,
    numNodes: taskOf(job).numNodes,
    folder: (rank) => clusterJobs.folder(job, rank),
    isWaiting: () => now()?.status === 'PENDING',
    isOver: () => now()?.end_at !== null,
    neverBegan: () => `Job ${job.job_id} is already in terminal state ${now()?.status}.\n`,
    lastWords: () => {
      const { status, exit_code: code } = now() ?? { status: 'FAILED_DRIVER', exit_code: null }
      const error =
        code === null || code === 0
          ? ''
          : status === 'FAILED_SETUP'
            ? `ERROR: Job ${job.job_id}'s setup failed with return code list: [${code}]\n`
            : `ERROR: Job ${job.job_id} failed with return code list: [${code}]\n`
      return `${error}✓ Job finished (status: ${status}).\n`
    },
  }
}

function codeOf(job: ClusterJobRow | undefined): number {
  if (!job) return TAIL_CODES.notFound
  if (job.end_at === null) return TAIL_CODES.unfinished
  if (job.status === 'SUCCEEDED') return TAIL_CODES.succeeded
  return job.status === 'CANCELLED' ? TAIL_CODES.cancelled : TAIL_CODES.failed
}

function downloadRoutes(app: Hono<Env>, parts: Parts): void {
  const { clusters, clusterState, home } = parts
  app.post('/download_logs', async (c) => {
    const sent = await readBody(c, Download)
    return submit(c, parts, 'download_logs', sent, () => {
      const row = clusters.upCluster(sent.input.cluster_name, 'downloading logs')
      const jobs = clusterState.jobs(row.hash)
      const ids = sent.input.job_ids ?? jobs.slice(0, 1).map((job) => String(job.job_id))
      const chosen = jobs.filter((job) => ids.includes(String(job.job_id)))
      return Object.fromEntries(
        chosen.map((job) => [
          String(job.job_id),
          keepLogs(parts, sent.raw.user.id, `${row.name}/${job.job_id}-${job.name}`, (rank) =>
            parts.clusterJobs.folder(job, rank),
          ),
        ]),
      )
    })
  })
  app.post('/download', async (c) => {
    const { input } = await readBody(c, z.object({ folder_paths: z.array(z.string()) }))
    const root = resolve(home, 'downloads')
    const folders = input.folder_paths.map((path) => resolve(path.replace(/^~(?=\/)/, homedir())))
    const outside = folders.find((path) => !path.startsWith(root + sep))
    if (outside !== undefined) return c.json({ detail: `Invalid folder path: ${outside}` }, 400)
    const missing = folders.find((path) => !existsSync(path))
    if (missing !== undefined) return c.json({ detail: `Folder not found: ${missing}` }, 404)
    const isShort = c.req.query('relative') === 'items'
    const packed = await zip(folders, (path) => (isShort ? relative(root, path) : path.replace(/^\/+/, '')))
    c.header('X-Home-Path', homedir())
    c.header('Content-Type', 'application/zip')
    return c.body(new Uint8Array(packed))
  })
}

/** Puts the logs of all nodes where a download may take them from, and says where. */
export function keepLogs(
  { home }: Pick<Parts, 'home'>,
  userId: string,
  name: string,
  folderOf: (rank: number) => string,
): string {
  const folder = join(home, 'downloads', userId.replaceAll(/[^\w-]/g, '_'), name)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (let rank = 0; existsSync(logOf(folderOf(rank))); rank += 1)
    cpSync(logOf(folderOf(rank)), join(folder, rank === 0 ? 'run.log' : `run-${rank}.log`))
  return folder
}
