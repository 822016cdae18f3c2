import type { Receipt } from '../core/receipt.ts'
import { ControlUnavailable } from '../sdk/experiments.ts'
import { type ExperimentRow, getExperiment } from '../store/experiments.ts'
import type { Queryable } from '../store/query.ts'
import { Problem } from './problem.ts'

/** How long an answer waits for the tables to show what was just accepted. */
const SHOWN_WITHIN_MS = 1_000
const CHECK_MS = 15

/** Asks a workflow. @throws Problem 503 when Temporal is away */
export async function reach<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ControlUnavailable) throw new Problem(503, error.message)
    throw error
  }
}

/** A wish that was taken. @throws Problem 409 or 422 with the words of the refusal, 503 when Temporal is away */
export async function accepted(wish: () => Promise<Receipt>): Promise<Extract<Receipt, { accepted: true }>> {
  const receipt = await reach(wish)
  if (receipt.accepted) return receipt
  throw new Problem(receipt.reason.includes('meanwhile') ? 409 : 422, receipt.reason)
}

/** The row once the tables show a revision of it, or as it is when that takes too long. */
export async function shown(db: Queryable, row: ExperimentRow, revision: number): Promise<ExperimentRow> {
  let last = row
  await within(SHOWN_WITHIN_MS, async () => {
    const now = await getExperiment(db, String(row.id))
    last = now ?? last
    // A deleted experiment is found no more, which is what was asked.
    return now === undefined || now.revision >= revision ? true : undefined
  })
  return last
}

/**
 * The same for one that was deleted: what a late projection of the deletion hides for a moment is waited for, too.
 */
export async function shownAgain(
  db: Queryable,
  row: ExperimentRow,
  revision: number,
): Promise<ExperimentRow> {
  const found = await within(SHOWN_WITHIN_MS, async () => {
    const now = await getExperiment(db, String(row.id))
    return now && now.revision >= revision ? now : undefined
  })
  return found ?? { ...row, deletedAtMs: null }
}

/** Asks again and again until there is an answer or the time is over. */
export async function within<T>(ms: number, ask: () => Promise<T | undefined>): Promise<T | undefined> {
  const untilMs = Date.now() + ms
  for (;;) {
    const answer = await ask()
    if (answer !== undefined || Date.now() > untilMs) return answer
    await new Promise((resolve) => setTimeout(resolve, CHECK_MS))
  }
}
