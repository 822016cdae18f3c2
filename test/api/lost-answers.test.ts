import { describe, expect, test } from 'vitest'
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

test('while Temporal is away something is created, and everything else is asked for again', async () => {
  api.core.isAway = true
  const id = await create('exp', { desired_state: 'RUNNING' })
  const wish = { desired_state: 'STOPPED' }
  expect((await ask('POST', `/api/experiments/${id}/state`, wish)).status).toBe(503)
  expect((await ask('PATCH', `/api/experiments/${id}`, { nodes: 2 })).status).toBe(503)
  expect((await ask('DELETE', `/api/experiments/${id}`)).status).toBe(503)
  expect((await ask('GET', `/api/experiments/${id}`)).status).toBe(200)
})

describe('what was created while Temporal was away', () => {
  const createAway = async (): Promise<number> => {
    api.core.isAway = true
    const id = await create('exp', { desired_state: 'RUNNING' })
    api.core.isAway = false
    expect(api.core.states.has(id)).toBe(false)
    return id
  }

  test('is begun by the first wish, and then takes it', async () => {
    const id = await createAway()
    const { status, body } = await ask('POST', `/api/experiments/${id}/state`, { desired_state: 'RUNNING' })
    expect(status).toBe(200)
    expect(body.experiment).toMatchObject({ desired_state: 'RUNNING', run: 1 })
    expect(api.core.states.get(id)?.desired.actor).toBe('ann')
  })

  test('is edited', async () => {
    const id = await createAway()
    const { body } = await ask('PATCH', `/api/experiments/${id}`, { nodes: 2 })
    expect(body.experiment).toMatchObject({ nodes: 2, desired_state: 'RUNNING' })
  })

  test('is stopped or deleted without ever having wanted to run', async () => {
    const id = await createAway()
    expect((await ask('POST', `/api/experiments/${id}/state`, { desired_state: 'STOPPED' })).status).toBe(200)
    expect(api.core.states.get(id)).toMatchObject({ run: 0, desired: { state: 'STOPPED' } })
    await ask('DELETE', '/api/experiments/exp')
    const other = await createAway()
    expect((await ask('DELETE', `/api/experiments/${other}`)).status).toBe(200)
    expect(api.core.states.get(other)).toMatchObject({ run: 0, deleted: true })
  })
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
