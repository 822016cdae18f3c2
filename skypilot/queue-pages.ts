import { ProtocolError } from './errors.ts'
import type { Queue } from './results.ts'
import type { ManagedJobRecord } from './schemas.ts'

const PAGE_SIZE = 500

/**
 * Reads a queue page by page and holds one page at a time. Rows that move from page to page, because new jobs came
 * meanwhile, are given once. A job that leaves the filter while the pages are read can push another past us: to be
 * sure that a job is gone, ask for it by its id.
 */
export async function* pagesOf(
  page: (page: number, limit: number) => Promise<Queue>,
  limit: number = PAGE_SIZE,
): AsyncGenerator<Queue, void> {
  let before: ReadonlySet<string> = new Set()
  for (let number = 1; ; number += 1) {
    const queue = await page(number, limit)
    const fresh = queue.jobs.filter((job) => !before.has(keyOf(job)))
    // Also a server that knows no pages ends here: its second page is the first again.
    if (fresh.length === 0 && queue.unreadable === 0) return
    yield { ...queue, jobs: fresh }
    if (number * limit >= queue.total) return
    before = new Set(queue.jobs.map(keyOf))
  }
}

/** A job can have several tasks, each with a row. */
const keyOf = ({ jobId, taskId }: ManagedJobRecord): string => `${jobId}.${taskId}`

/** The rows of all pages. @throws SkyPilotError `protocol` after a page with rows that could not be read */
export async function* rowsOf(pages: AsyncIterable<Queue>): AsyncGenerator<ManagedJobRecord, void> {
  for await (const { jobs, unreadable } of pages) {
    yield* jobs
    if (unreadable > 0) throw new ProtocolError(`${unreadable} jobs of the queue could not be read`)
  }
}
