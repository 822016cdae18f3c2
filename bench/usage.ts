import type { Desk, Part } from './desk.ts'

/** CPU time of some parts within a while, in ms. */
export interface Usage {
  tookMs: number
  cpuMs: number
  byPart: ReadonlyMap<Part, number>
}

/** Notes the CPU time of these parts from now on. */
export function watchUsage(desk: Desk, parts: readonly Part[]): () => Usage {
  const startedAtMs = performance.now()
  const before = parts.map((part) => desk.cpuMs([part]))
  return () => {
    const spent = parts.map((part, index) => desk.cpuMs([part]) - (before[index] ?? 0))
    return {
      tookMs: performance.now() - startedAtMs,
      cpuMs: spent.reduce((sum, ms) => sum + ms, 0),
      byPart: new Map(parts.map((part, index) => [part, spent[index] ?? 0])),
    }
  }
}

/** What was used beyond what the same parts use at rest. */
export function aboveRest(busy: Usage, rest: Usage): Usage {
  const scale = busy.tookMs / rest.tookMs
  const byPart = new Map(
    [...busy.byPart].map(([part, ms]) => [part, ms - (rest.byPart.get(part) ?? 0) * scale]),
  )
  return { tookMs: busy.tookMs, cpuMs: busy.cpuMs - rest.cpuMs * scale, byPart }
}
