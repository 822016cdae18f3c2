import { type Client, ServiceError } from '@temporalio/client'
import { describe, expect, test } from 'vitest'
import { ControlUnavailable, createExperiments } from '../../sdk/experiments.ts'

const FAILED_PRECONDITION = 9
const UNAVAILABLE = 14

/** As Temporal's client tells what its server answered. */
function refusal(code: number): ServiceError {
  const cause = Object.assign(new Error('refused'), { code, details: 'refused', metadata: {} })
  return new ServiceError('Workflow Update failed', { cause })
}

/** A Temporal that answers each sending of a wish with the next of these, and the last of them for ever. */
function temporalThat(answers: readonly unknown[]) {
  const sent: Array<{ args: unknown[]; updateId: string }> = []
  const executeUpdate = (_definition: unknown, options: (typeof sent)[number]): Promise<unknown> => {
    const answer = answers[Math.min(sent.length, answers.length - 1)]
    sent.push(options)
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
  }
  const client = {
    withDeadline: (_untilMs: number, work: () => unknown) => work(),
    workflow: { getHandle: () => ({ executeUpdate }) },
  }
  return { experiments: createExperiments(client as unknown as Client), sent }
}

const RECEIPT = { accepted: true, revision: 2, generation: 1 }

describe('a wish that a failed task of the workflow gave back', () => {
  test('is sent again, as the same wish', async () => {
    const { experiments, sent } = temporalThat([refusal(FAILED_PRECONDITION), RECEIPT])
    expect(await experiments.hold(1, { actor: 'ann' })).toEqual(RECEIPT)
    expect(sent.map(({ args }) => args)).toEqual([[{ actor: 'ann' }], [{ actor: 'ann' }]])
    expect(sent[0]!.updateId).toMatch(/^[0-9a-f-]{36}$/)
    expect(sent[1]!.updateId).toBe(sent[0]!.updateId)
  })

  test('is not sent for ever, and the answer says that the tasks fail', async () => {
    const { experiments, sent } = temporalThat([refusal(FAILED_PRECONDITION)])
    const wish = experiments.hold(1, { actor: 'ann' })
    await expect(wish).rejects.toBeInstanceOf(ControlUnavailable)
    await expect(wish).rejects.toThrow('The tasks of the workflow fail')
    expect(sent).toHaveLength(6)
  })
})

test('a wish of which nobody knows whether it arrived is not sent again', async () => {
  const { experiments, sent } = temporalThat([refusal(UNAVAILABLE), RECEIPT])
  await expect(experiments.hold(1, { actor: 'ann' })).rejects.toThrow('Temporal did not answer')
  expect(sent).toHaveLength(1)
})
