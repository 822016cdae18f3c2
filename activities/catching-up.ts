import { catchUp, type CatchUpDeps } from './catch-up.ts'

/** What the tables were told last. Temporal keeps it with the heartbeats, for whoever looks next. */
export interface Noted {
  atMs: number | null
  /** They are known to be behind, and were not brought up yet. */
  isLost: boolean
}

/** Brings tables up that were put back, beside the looking, which goes on meanwhile. */
export class CatchingUp {
  readonly #deps: CatchUpDeps
  readonly #noted: Noted
  #isUnderWay = false
  #isNews = false

  constructor(deps: CatchUpDeps, noted: Noted) {
    this.#deps = deps
    this.#noted = noted
  }

  /** Begins where it is needed. Tells once that the tables were behind and are brought up. */
  isDoneNow(): boolean {
    if (this.#noted.isLost && !this.#isUnderWay) void this.#run()
    const isNews = this.#isNews
    this.#isNews = false
    return isNews
  }

  async #run(): Promise<void> {
    this.#isUnderWay = true
    try {
      await catchUp(this.#deps)
      this.#noted.isLost = false
      this.#isNews = true
    } catch (error) {
      this.#deps.log('bringing tables up that were put back failed', { reason: String(error) })
    } finally {
      this.#isUnderWay = false
    }
  }
}
