import type { Hono } from 'hono'
import { stream } from 'hono/streaming'
import { z } from 'zod'
import { type Env, type Parts, readBody, submit } from './exchange.ts'
import { PICKLED_NONE } from './pickle.ts'
import { isOver, type RequestRecord } from './requests.ts'

/** The bookkeeping of requests. */
export function requestRoutes(app: Hono<Env>, parts: Parts): void {
  const { requests } = parts
  app.get('/api/get', async (c) => {
    const asked = c.req.query('request_id') ?? ''
    const [record, another] = requests.find(asked)
    if (!record) return c.json({ detail: `Request '${asked}' not found` }, 404)
    if (another) return c.json({ detail: `Multiple requests found for prefix '${asked}'` }, 400)
    await requests.ended(record.request_id, AbortSignal.any([c.req.raw.signal, parts.closing]))
    // The real server sends pickles of its own here.
    const payload = { ...record, entrypoint: PICKLED_NONE, request_body: PICKLED_NONE, user_name: null }
    return record.status === 'FAILED' ? c.json({ detail: payload }, 500) : c.json(payload)
  })
  app.get('/api/status', (c) => {
    const query = new URL(c.req.url).searchParams
    const fields = query.getAll('fields')
    const unknown = fields.find((field) => !Object.hasOwn(BLANK, field))
    if (unknown !== undefined) return c.json({ detail: `Invalid field: ${unknown}` }, 400)
    const found = select(parts, query)
    const limit = Number(query.get('limit') ?? found.length)
    return c.json(found.slice(0, limit).map((record) => onlyFields(record, fields)))
  })
  app.get('/api/stream', async (c) => {
    const asked = c.req.query('request_id')
    const [record] = asked === undefined ? requests.list() : requests.find(asked)
    if (!record) return c.json({ detail: `Request '${asked ?? ''}' not found` }, 404)
    const follow = c.req.query('follow')?.toLowerCase() !== 'false'
    c.header('X-SkyPilot-Stream-Request-ID', record.request_id)
    c.header('X-Accel-Buffering', 'no')
    c.header('Cache-Control', 'no-cache, no-transform')
    c.header('Content-Type', 'text/plain; charset=utf-8')
    return stream(c, async (out) => {
      const signal = AbortSignal.any([c.req.raw.signal, parts.closing])
      for await (const text of requests.log(record.request_id, follow, signal)) await out.write(text)
    })
  })
  app.post('/api/cancel', async (c) => {
    const sent = await readBody(c, z.object({ request_ids: z.array(z.string()).nullish() }))
    const asked = sent.input.request_ids
    const records = asked ? asked.flatMap((id) => requests.find(id)) : requests.list()
    const cancelled = requests.cancel(records.map(({ request_id: id }) => id))
    return submit(c, parts, 'api_cancel', sent, () => cancelled)
  })
}

function select({ requests }: Parts, query: URLSearchParams): RequestRecord[] {
  const ids = query.getAll('request_ids')
  if (ids.length > 0) return ids.flatMap((id) => requests.find(id))
  const cluster = query.get('cluster_name')
  const isAll = query.get('all_status')?.toLowerCase() === 'true'
  return requests
    .list()
    .filter((record) => isAll || !isOver(record))
    .filter(({ cluster_name: name }) => cluster === null || name === cluster)
}

/** Columns that were not asked for come back as these, which is why `status` must always be asked for. */
const BLANK: RequestRecord = {
  request_id: '',
  name: '',
  entrypoint: '',
  request_body: 'null',
  status: 'PENDING',
  created_at: 0,
  user_id: '',
  return_value: 'null',
  error: 'null',
  pid: null,
  schedule_type: 'short',
  user_name: null,
  cluster_name: null,
  status_msg: null,
  should_retry: false,
  finished_at: null,
  file_mounts_blob_id: null,
}

function onlyFields(record: RequestRecord, fields: readonly string[]): RequestRecord {
  // Results are only handed out by /api/get.
  const listed = { ...record, return_value: 'null', error: 'null', pid: null }
  if (fields.length === 0) return listed
  const asked = Object.entries(listed).filter(([key]) => fields.includes(key))
  return { ...BLANK, request_id: record.request_id, ...Object.fromEntries(asked) }
}
