import { join } from 'node:path'

/** What vitest writes down of a run, as far as it is read. */
export interface Report {
  testResults: ReadonlyArray<{
    name: string
    message?: string
    assertionResults: ReadonlyArray<{
      title: string
      status: string
      failureMessages?: readonly string[] | null
    }>
  }>
}

/**
 * - `passed`: it holds, whatever was changed
 * - `failed`: an expectation was not met, or the code under test threw
 * - `skipped`: it does not run on this machine
 * - `broken`: there was no test at all, for what was changed does not even load, or took too long to tell
 */
export type Verdict = { kind: 'passed' | 'skipped' } | { kind: 'failed' | 'broken'; why: string }

/** Errors of code that is no code any more, and tests that ran out of time. They tell nothing of a protection. */
const NO_CODE =
  /^(?:Error: )?(?:SyntaxError|ReferenceError|RolldownError|Transform failed|Failed to|Cannot find (?:module|package)|Webpack)|does not provide an export|Parse error|timed out in \d+\s?ms|STACK_TRACE_ERROR/i

/** What a run says of one test. */
export function verdictOf({ testResults }: Report, root: string, file: string, title: string): Verdict {
  const found = testResults.find(({ name }) => name === join(root, file))
  if (!found) return { kind: 'broken', why: `${file} did not run` }
  const test = found.assertionResults.find((each) => each.title === title && each.status !== 'skipped')
  if (!test) {
    const isKnown = found.assertionResults.some((each) => each.title === title)
    if (isKnown && !found.message) return { kind: 'skipped' }
    return { kind: 'broken', why: found.message || `${file} has no test "${title}"` }
  }
  if (test.status === 'passed') return { kind: 'passed' }
  const [why = ''] = test.failureMessages ?? []
  return why === '' || NO_CODE.test(why)
    ? { kind: 'broken', why: why || found.message || 'it failed without a word' }
    : { kind: 'failed', why }
}
