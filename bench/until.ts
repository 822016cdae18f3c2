import { setTimeout as sleep } from 'node:timers/promises'

const CHECK_MS = 250

/** Waits for a level. @throws Error that names it when the time is over */
export async function until(
  withinMs: number,
  what: string,
  isReached: () => Promise<boolean>,
): Promise<void> {
  for (const untilMs = performance.now() + withinMs; !(await isReached()); await sleep(CHECK_MS))
    if (performance.now() > untilMs) throw new Error(`after ${withinMs / 1_000} s it is not so that ${what}`)
}
