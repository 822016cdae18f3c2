import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'

export interface FieldError {
  /** The field of the request, such as `nodes` or `flags.lr`. */
  field: string
  message: string
}

/** Something a caller can mend. Says what is wrong, where, and what to do; thrown anywhere below a route. */
export class Problem extends Error {
  override readonly name = 'Problem'
  readonly status: ContentfulStatusCode
  readonly errors: readonly FieldError[]

  constructor(status: ContentfulStatusCode, detail: string, errors: readonly FieldError[] = []) {
    super(detail)
    this.status = status
    this.errors = errors
  }
}

/** RFC 9457. `detail` is what clients of the original SkyDeck read, so it is always text. */
export function sendProblem(c: Context, problem: Problem): Response {
  const body = {
    type: 'about:blank',
    status: problem.status,
    detail: problem.message,
    ...(problem.errors.length > 0 ? { errors: problem.errors } : {}),
    request_id: c.res.headers.get('x-request-id') ?? undefined,
  }
  return c.body(JSON.stringify(body), problem.status, { 'Content-Type': 'application/problem+json' })
}
