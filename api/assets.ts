import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { Hono } from 'hono'

const own = (name: string): string => fileURLToPath(new URL(`../views/assets/${name}`, import.meta.url))
const htmx = createRequire(import.meta.url).resolve('htmx.org')
const ofHtmx = (name: string): string =>
  fileURLToPath(new URL(name, `file://${htmx.replace(/dist\/.*$/, 'dist/')}`))

const SCRIPT = 'text/javascript; charset=utf-8'

/** Every file the pages load. A list, and no folder: nothing else can be asked for. */
const FILES: Readonly<Record<string, { paths: string[]; type: string }>> = {
  'desk.css': { paths: [own('desk.css')], type: 'text/css; charset=utf-8' },
  'desk.js': { paths: [own('desk.js')], type: SCRIPT },
  'theme.js': { paths: [own('theme.js')], type: SCRIPT },
  'icon.svg': { paths: [own('icon.svg')], type: 'image/svg+xml' },
  // One file: htmx looks through the page as soon as it is loaded, and an extension that comes later is not asked.
  'htmx.js': { paths: [ofHtmx('htmx.min.js'), ofHtmx('ext/hx-sse.min.js')], type: SCRIPT },
}

/** Serves the pages' files from memory. They may be kept, and are asked for again by their tag. */
export function assets(): Hono {
  const app = new Hono()
  for (const [name, { paths, type }] of Object.entries(FILES)) {
    const body = Buffer.concat(paths.flatMap((path) => [readFileSync(path), Buffer.from('\n')]))
    const etag = `"${createHash('sha256').update(body).digest('hex').slice(0, 16)}"`
    app.get(`/assets/${name}`, (c) => {
      const headers = { 'Content-Type': type, 'Cache-Control': 'no-cache', ETag: etag }
      return c.req.header('if-none-match') === etag ? c.body(null, 304, headers) : c.body(body, 200, headers)
    })
  }
  return app
}
