import type { Context } from 'hono'

/** True for a request by htmx that wants a piece of a page. */
export const wantsPartial = (c: Context): boolean => c.req.header('hx-request-type') === 'partial'
