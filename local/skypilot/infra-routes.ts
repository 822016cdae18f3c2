import type { Hono } from 'hono'
import { z } from 'zod'
import { type Env, type Parts, readBody, type Sent, submit } from './exchange.ts'
import { RequestFailure } from './requests.ts'
import { refuseInfeasible } from './resources.ts'
import type { Settings } from './settings.ts'
import { parseTask } from './task.ts'

const Dag = z.object({ dag: z.string() })
const Accelerators = z.object({
  name_filter: z.string().nullish(),
  quantity_filter: z.int().nullish(),
  case_sensitive: z.boolean().default(true),
})
type Accelerators = z.infer<typeof Accelerators>

/** What machines there are, and whether a task would run on them. */
export function infraRoutes(app: Hono<Env>, parts: Parts): void {
  placeRoutes(app, parts)
  taskRoutes(app, parts)
}

/** A call without a body. */
const NOBODY: Sent<unknown> = { input: {}, raw: { body: {}, user: { id: '', name: '' } } }

function placeRoutes(app: Hono<Env>, parts: Parts): void {
  const { settings } = parts
  app.post('/check', async (c) => {
    const sent = await readBody(c, z.object({}))
    return submit(c, parts, 'check', sent, () => ({ default: { Local: ['compute'] } }))
  })
  app.get('/enabled_clouds', (c) => submit(c, parts, 'enabled_clouds', NOBODY, () => ['local']))
  app.get('/workspaces', (c) => submit(c, parts, 'workspaces.get', NOBODY, () => ({ default: {} })))
  app.post('/list_accelerators', async (c) => {
    const sent = await readBody(c, Accelerators)
    return submit(c, parts, 'list_accelerators', sent, () =>
      Object.fromEntries(
        countsOf(settings(), sent.input).map(([name, counts]) => [
          name,
          counts.map((count) => [
            'local',
            null,
            name,
            count,
            settings().cpus,
            0,
            settings().memoryGb,
            settings().pricePerHour,
            settings().pricePerHour,
            'this-machine',
          ]),
        ]),
      ),
    )
  })
  app.post('/list_accelerator_counts', async (c) => {
    const sent = await readBody(c, Accelerators)
    return submit(c, parts, 'list_accelerator_counts', sent, () =>
      Object.fromEntries(countsOf(settings(), sent.input)),
    )
  })
}

function taskRoutes(app: Hono<Env>, parts: Parts): void {
  const { settings } = parts
  app.post('/optimize', async (c) => {
    const sent = await readBody(c, Dag)
    return submit(c, parts, 'optimize', sent, ({ say }) => {
      const task = parseTask(sent.input.dag, null)
      refuseInfeasible(task.demand, task.numNodes, settings())
      say(
        `Considered resources (${task.numNodes} node${task.numNodes === 1 ? '' : 's'}): Local (this-machine)`,
      )
      return null
    })
  })
  app.post('/validate', async (c) => {
    const { input } = await readBody(c, Dag)
    try {
      parseTask(input.dag, null)
      return c.json(null)
    } catch (error) {
      if (!(error instanceof RequestFailure)) throw error
      const { type, message } = error
      return c.json({ detail: { type, message, args: [message], attributes: {}, stacktrace: null } }, 400)
    }
  })
}

/** Powers of two, as machines are sold. */
function countsOf({ accelerators }: Settings, filter: Accelerators): Array<[string, number[]]> {
  const name = filter.name_filter ? new RegExp(filter.name_filter, filter.case_sensitive ? '' : 'i') : /^/
  return Object.entries(accelerators)
    .filter(([known]) => name.test(known))
    .map(([known, most]): [string, number[]] => [
      known,
      [1, 2, 4, 8, 16, 32, 64]
        .filter((count) => count <= most)
        .filter((count) => filter.quantity_filter == null || count === filter.quantity_filter),
    ])
    .filter(([, counts]) => counts.length > 0)
}
