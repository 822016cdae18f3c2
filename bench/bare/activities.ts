export type BareActivities = typeof bareActivities

export const bareActivities = {
  /** Stands for a look at the world. */
  look: (): Promise<void> => Promise.resolve(),

  /** Posts to an address and does not care for the answer. */
  async post(address: string): Promise<void> {
    const answer = await fetch(address, { method: 'POST', body: '{}' })
    await answer.body?.cancel()
  },
}
