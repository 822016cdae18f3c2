import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Hono } from 'hono'

const own = (name: string): string => fileURLToPath(new URL(`../views/assets/${name}`, import.meta.url))
const htmx = createRequire(import.meta.url).resolve('htmx.org')
const ofHtmx = (name: string): string =>
  fileURLToPath(new URL(name, `file://${htmx.replace(/dist\/.*$/, 'dist/')}`))

/** Every file the pages load. A list, and no folder: nothing else can be asked for. */
const FILES: Readonly<Record<string, { path: string; type: string }>> = {
  'desk.css': { path: own('desk.css'), type: 'text/css; charset=utf-8' },
  'desk.js': { path: own('desk.js'), type: 'text/javascript; charset=utf-8' },
  'theme.js': { path: own('theme.js'), type: 'text/javascript; charset=utf-8' },
  'icon.svg': { path: own('icon.svg'), type: 'image/svg+xml' },
  'htmx.min.js': { path: ofHtmx('htmx.min.js'), type: 'text/javascript; charset=utf-8' },
  'hx-sse.min.js': { path: ofHtmx('ext/hx-sse.min.js'), type: 'text/javascript; charset=utf-8' },
}

/** Serves the pages' files from memory. They may be kept, and are asked for again by their tag. */
export function assets(): Hono {
  const app = new Hono()
  for (const [name, { path, type }] of Object.entries(FILES)) {
    const body = readFileSync(path)
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`
    app.get(`/assets/${name}`, (c) => {
      const headers = { 'Content-Type': type, 'Cache-Control': 'no-cache', ETag: etag }
      return c.req.header('if-none-match') === etag ? c.body(null, 304, headers) : c.body(body, 200, headers)
    })
  }
  return app
}
