import { expect, test } from 'vitest'
import { createSkyPilot } from '../../skypilot/client.ts'

const ID = '0f0f0f0f-1111-4222-8333-444444444444'

const answering = (status: number, body: unknown) =>
  createSkyPilot({
    endpoint: 'http://127.0.0.1:1',
    retryBudgetMs: 0,
    fetch: () => Promise.resolve(Response.json(body, { status })),
  })
const succeeded = (name: string) => ({
  request_id: ID,
  name,
  status: 'SUCCEEDED',
  return_value: 'null',
  created_at: 1,
})

test.each([400, 413, 422])(
  'a gateway that answers %i to a question refuses the question, and not the work',
  async (status) => {
    const sky = answering(status, { detail: 'not here' })
    await expect(sky.requests.get(ID)).rejects.toMatchObject({ kind: 'protocol' })
  },
)

test('a launch whose answer SkyPilot could not write down is done all the same', async () => {
  expect(await answering(200, succeeded('sky.launch')).requests.attach(ID, 'launch').result()).toEqual({
    jobId: null,
  })
  expect(
    await answering(200, succeeded('sky.jobs.launch')).requests.attach(ID, 'jobs.launch').result(),
  ).toEqual({ jobIds: [] })
})
