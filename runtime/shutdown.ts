const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** Ctrl-C reaches a process from the terminal and again from each parent that passes it on: that is one wish. */
const SAME_WISH_MS = 1000

export interface ShutdownOptions {
  timeoutMs: number
  /** Told when the work failed or took too long. */
  onProblem?: (problem: string) => void
  exit?: (code: number) => void
}

/**
 * Runs `work` once when the process is asked to end, then ends it: with 0 when the work is done, with 1 when it
 * failed or took longer than `timeoutMs`. A second signal ends the process at once. Returns a function that asks
 * for the same from within.
 */
export function onShutdown(
  work: (reason: string) => Promise<void>,
  options: ShutdownOptions,
): (reason: string) => void {
  const exit = options.exit ?? ((code: number) => process.exit(code))
  let askedAtMs: number | undefined
  const fail = (problem: string) => {
    options.onProblem?.(problem)
    exit(1)
  }
  const finish = async (working: Promise<void>, timer: NodeJS.Timeout) => {
    try {
      await working
      exit(0)
    } catch (error) {
      fail(error instanceof Error ? (error.stack ?? error.message) : String(error))
    } finally {
      clearTimeout(timer)
    }
  }
  const ask = (reason: string) => {
    if (askedAtMs !== undefined) {
      if (performance.now() - askedAtMs > SAME_WISH_MS) exit(1)
      return
    }
    askedAtMs = performance.now()
    const timer = setTimeout(() => fail(`not stopped after ${options.timeoutMs} ms`), options.timeoutMs)
    void finish(work(reason), timer)
  }
  for (const signal of SIGNALS) process.on(signal, () => ask(signal))
  return ask
}
