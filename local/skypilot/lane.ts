/** Lets so many pass at once; the others wait in order. */
export class Lane {
  readonly #limit: () => number
  readonly #waiting: Array<() => void> = []
  #taken = 0

  constructor(limit: () => number) {
    this.#limit = limit
  }

  /** Resolves when it is our turn. Who was turned away by the signal has no place. */
  async enter(signal: AbortSignal): Promise<void> {
    if (this.#taken < this.#limit() && this.#waiting.length === 0) {
      this.#taken += 1
      return
    }
    const turn = Promise.withResolvers<void>()
    const begin = () => {
      this.#taken += 1
      turn.resolve()
    }
    const giveUp = () => {
      const at = this.#waiting.indexOf(begin)
      if (at < 0) return
      this.#waiting.splice(at, 1)
      turn.reject(signal.reason)
    }
    this.#waiting.push(begin)
    signal.addEventListener('abort', giveUp, { once: true })
    try {
      await turn.promise
    } finally {
      signal.removeEventListener('abort', giveUp)
    }
  }

  leave(): void {
    this.#taken -= 1
    if (this.#taken < this.#limit()) this.#waiting.shift()?.()
  }
}
