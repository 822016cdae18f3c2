import { type Hook, z } from '@hono/zod-openapi'
import type { Context, Env } from 'hono'
import { Problem, sendProblem } from './problem.ts'

const ProblemJson = z
  .object({
    type: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
    request_id: z.string().optional(),
  })
  .openapi('Problem')

const MEANING: Record<number, string> = {
  400: 'it cannot be done now',
  401: 'the token is not the right one',
  404: 'there is no such thing',
  409: 'it changed meanwhile, or is taken',
  422: 'the request is not valid; `detail` says what and how to mend it',
  503: 'Temporal or SkyPilot is away',
}

/** Declares the problems that a route answers with. */
export const problems = (...statuses: number[]) =>
  Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: MEANING[status] ?? 'a problem',
        content: { 'application/problem+json': { schema: ProblemJson } },
      },
    ]),
  )

export const jsonBody = <T extends z.ZodType>(schema: T) => ({
  required: true,
  content: { 'application/json': { schema } },
})

/** Declares the one good answer of a route. Like the original, that is always 200. */
export const jsonOf = <T extends z.ZodType>(schema: T, description: string) => ({
  200: { description, content: { 'application/json': { schema } } },
})

/** Turns what a schema refused into one readable sentence, and a list for forms. */
export function problemOf(issues: readonly z.core.$ZodIssue[]): Problem {
  const errors = issues.map(({ path, message }) => ({ field: path.join('.') || 'body', message }))
  return new Problem(422, errors.map(({ field, message }) => `${field}: ${message}`).join('; '), errors)
}

// The shape of the hook is the library's; it cares for no type of ours.
export const invalid: Hook<unknown, Env, string, Response | undefined> = (result, c) =>
  result.success ? undefined : sendProblem(c, problemOf(result.error.issues))

/** Which experiment a route is about. */
export const IdParam = z.object({
  id: z.string().openapi({ param: { name: 'id', in: 'path' }, description: 'the id or the name' }),
})

/** A switch in an address. */
export const flag = z
  .enum(['true', 'false', '1', '0'])
  .default('false')
  .transform((text) => text === 'true' || text === '1')

/** Who asks. Until there are accounts that is whoever reaches the console, or the name a script gives itself. */
export const actorOf = (c: Context): string =>
  (c.req.header('x-skydeck-actor') ?? 'you').trim().slice(0, 100) || 'you'
