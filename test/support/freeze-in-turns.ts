import { setTimeout as sleep } from 'node:timers/promises'

const TURN_MS = 100

/**
 * Lets a process have only a share of the time: it is stopped for the rest of every tenth of a second, which is what a
 * quota of a control group does, and needs no right that a test may not have. Gives how to end that.
 */
export function freezeInTurns(pid: number, share: number): () => Promise<void> {
  const end = new AbortController()
  const turns = (async () => {
    while (!end.signal.aborted && tell(pid, 'SIGSTOP')) {
      await sleep(TURN_MS * (1 - share))
      tell(pid, 'SIGCONT')
      await sleep(TURN_MS * share)
    }
  })()
  return async () => {
    end.abort()
    await turns
  }
}

/** False when the process is gone. */
function tell(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}
