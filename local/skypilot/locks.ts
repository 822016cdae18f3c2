/** One holder for each name; the others come in order. */
export class Locks {
  readonly #tails = new Map<string, Promise<void>>()

  /** Whether somebody holds the name now. */
  isHeld(name: string): boolean {
    return this.#tails.has(name)
  }

  /**
   * Does the work when its turn has come. `wait` is how to wait until then, if it is not now.
   * @throws whatever `wait` or the work throws
   */
  async hold<T>(
    name: string,
    wait: (turn: Promise<void>) => Promise<void>,
    work: () => Promise<T>,
  ): Promise<T> {
    const before = this.#tails.get(name)
    const mine = Promise.withResolvers<void>()
    const tail = before === undefined ? mine.promise : before.then(() => mine.promise)
    this.#tails.set(name, tail)
    try {
      if (before !== undefined) await wait(before)
      return await work()
    } finally {
      mine.resolve()
      // Nobody came after us.
      if (this.#tails.get(name) === tail) this.#tails.delete(name)
    }
  }
}
