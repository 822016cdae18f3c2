import type { Options } from './arguments.ts'
import type { Fleet } from './fleet.ts'
import { watchMachine } from './machine.ts'
import { type Pair, type Result, summarize } from './report.ts'

/** What a scenario works with. */
export interface Bench extends Options {
  say: (line: string) => void
  /** One desk full of running experiments, started when it is first asked for and shared by those that need many. */
  fleet: () => Promise<Fleet>
}

export interface Scenario {
  /** The id in performance.md. */
  id: string
  title: string
  run: (bench: Bench) => Promise<Result[]>
}

type Described = Pick<Result, 'id' | 'what' | 'unit' | 'against' | 'n' | 'goal' | 'more'>

/** Notes the machine's load from now on, and makes results that carry it. */
export function noteMachine(): (described: Described, pairs: readonly Pair[]) => Result {
  const read = watchMachine()
  return (described, pairs) => ({ ...described, ...summarize(pairs), ...read() })
}
