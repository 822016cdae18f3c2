import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { apiReport, REGENERATE, REPORT } from '../support/api-report.ts'

test('the committed report of the API is what the declarations say', { timeout: 180_000 }, async () => {
  const committed = existsSync(REPORT) ? readFileSync(REPORT, 'utf8') : ''
  expect(
    committed === (await apiReport()),
    `the API has changed: run ${REGENERATE} and review what it changes`,
  ).toBe(true)
})
