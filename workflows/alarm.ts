import { sleep } from '@temporalio/workflow'

/**
 * Wakes the loop when time alone may change what is to be done. A timer that is running is kept when the time moves
 * further away: ringing once too early costs less history than ending a timer at every change.
 */
export class Alarm {
  #dueMs: number | null = null
  /** Grows with every ring. */
  rings = 0

  set(atMs: number | null): void {
    if (atMs === null || (this.#dueMs !== null && this.#dueMs <= atMs)) return
    this.#dueMs = atMs
    void this.#ring(atMs)
  }

  async #ring(atMs: number): Promise<void> {
    await sleep(Math.max(1, atMs - Date.now()))
    if (this.#dueMs === atMs) this.#dueMs = null
    this.rings += 1
  }
}
