import { Context, sleep } from '@temporalio/activity'
import type { SkyPilot } from '../skypilot/client.ts'
import { MAKERS, signal } from './asking.ts'

/** What SkyPilot works on for minutes, and of which it can do only a few at a time. */
const LAUNCHES: ReadonlySet<string> = new Set([...MAKERS, 'sky.jobs.launch'])
const LOOK_EVERY_MS = 1_000

export interface LaunchGate {
  /** Does the work when SkyPilot has room for another launch, one after the other within a process. */
  pass<T>(work: () => Promise<T>): Promise<T>
}

/**
 * Lets launches through no faster than SkyPilot takes them. It counts what SkyPilot itself has in flight, so it holds
 * for any number of workers, and for launches that are not ours; workers that look at the same instant may go over
 * by one each.
 */
export function createLaunchGate(skypilot: SkyPilot, inFlightMax: number): LaunchGate {
  let last: Promise<unknown> = Promise.resolve()

  async function hasRoom(): Promise<boolean> {
    const active = await skypilot.requests.list({
      fields: ['request_id', 'name', 'status'],
      ...signal(),
    })
    return active.filter(({ name }) => LAUNCHES.has(name)).length < inFlightMax
  }

  async function whenRoom<T>(work: () => Promise<T>): Promise<T> {
    while (!(await hasRoom())) await sleep(LOOK_EVERY_MS)
    return work()
  }

  return {
    pass(work) {
      // Behind the one before, whatever came of that; one that is not wanted any more leaves the line at once.
      const before = last
      const mine = Promise.race([before, Context.current().cancelled]).then(() => whenRoom(work))
      last = Promise.allSettled([before, mine])
      return mine
    },
  }
}
