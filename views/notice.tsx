import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import { type Frame, Layout } from './layout.tsx'
import { paths } from './paths.ts'

/** Puts a piece of HTML in the place of an element of the page. */
export const Partial = ({
  target,
  swap = 'outerMorph',
  children,
}: {
  target: string
  swap?: 'outerMorph' | 'outerHTML' | 'innerHTML'
  children: NonNullable<Child>
}): JSX.Element => (
  <hx-partial hx-target={target} hx-swap={swap}>
    {children}
  </hx-partial>
)

/** A message above the page, for what went wrong with an action. */
export const Notice = ({ text }: { text: string }): JSX.Element => (
  <Partial target="#notice" swap="innerHTML">
    <p class="notice">{text}</p>
  </Partial>
)

export const ProblemPage = ({
  frame,
  status,
  detail,
  requestId,
}: {
  frame: Frame
  status: number
  detail: string
  requestId: string
}): JSX.Element => (
  <Layout title={`Problem ${status}`} frame={frame}>
    <div class="empty">
      <h1>{status === 404 ? 'Not here' : 'That did not work'}</h1>
      <p>{detail}</p>
      <p class="quiet">
        {requestId ? `Request ${requestId}. ` : ''}
        <a href={paths.list()}>All experiments</a>
      </p>
    </div>
  </Layout>
)
