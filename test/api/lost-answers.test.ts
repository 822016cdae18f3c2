import { expect, test } from 'vitest'
import { ControlUnavailable, type Experiments } from '../../sdk/experiments.ts'
import { TestApi } from '../support/test-api.ts'

const api = new TestApi()
const { ask, create } = api

/** Temporal does as it is asked, and what it answers is lost. */
const losesAnswers = (verb: 'edit' | 'undelete'): void => {
  const { experiments } = api.core
  const lose = async (answer: Promise<unknown>): Promise<never> => {
    await answer
    throw new ControlUnavailable('Temporal did not answer; nothing is lost, ask again')
  }
  const lossy: Partial<Experiments> =
    verb === 'edit'
      ? { edit: (...given) => lose(experiments.edit(...given)) }
      : { undelete: (...given) => lose(experiments.undelete(...given)) }
  api.serve({ experiments: { ...experiments, ...lossy } })
}

test('an edit that was taken keeps the new name, though its answer was lost', async () => {
  const id = await create('exp')
  losesAnswers('edit')
  expect((await ask('PATCH', `/api/experiments/${id}`, { name: 'other', nodes: 2 })).status).toBe(503)
  const { experiment } = (await ask('GET', `/api/experiments/${id}`)).body
  expect(experiment).toMatchObject({ name: 'other', nodes: 2 })
  expect(api.core.states.get(id)?.name).toBe('other')
})

test('what was brought back stays, though the answer was lost', async () => {
  const id = await create('exp')
  await ask('DELETE', `/api/experiments/${id}`)
  losesAnswers('undelete')
  expect((await ask('POST', `/api/experiments/${id}/undelete`)).status).toBe(503)
  expect((await ask('GET', `/api/experiments/${id}`)).status).toBe(200)
})

test('an edit that is refused has changed nothing, what people note beside it neither', async () => {
  await create('taken')
  const id = await create('exp', { description: 'before', tags: ['old'] })
  const change = { name: 'taken', description: 'after', tags: ['new'] }
  expect((await ask('PATCH', `/api/experiments/${id}`, change)).status).toBe(409)
  api.core.isAway = true
  expect((await ask('PATCH', `/api/experiments/${id}`, { ...change, name: 'free' })).status).toBe(503)
  const { experiment } = (await ask('GET', `/api/experiments/${id}`)).body
  expect(experiment).toMatchObject({ name: 'exp', description: 'before', tags: ['old'] })
})

test('an edit changes what it runs and what is noted beside it together', async () => {
  const id = await create('exp')
  const { body } = await ask('PATCH', `/api/experiments/${id}`, { name: 'other', description: 'after' })
  expect(body.experiment).toMatchObject({ name: 'other', description: 'after' })
  expect(body.applies.now).toEqual(['name', 'description'])
})
