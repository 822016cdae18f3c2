import type { JSX } from 'hono/jsx/jsx-runtime'
import type { DesiredState } from '../core/spec.ts'
import { verb, whyNot } from './can.ts'
import type { ExperimentView } from './model.ts'
import { paths } from './paths.ts'

/** The region that the answer of a wish replaces: a row of the list, or the head of a page. */
export type Region = 'row' | 'summary'

export const regionId = (region: Region, id: number): string => (region === 'row' ? `e-${id}` : 'summary')

/** One button that says what is wanted. Works as a plain form; with script only its region changes. */
export const Wish = ({
  of,
  state,
  region,
}: {
  of: ExperimentView
  state: DesiredState
  region: Region
}): JSX.Element => {
  const refusal = whyNot[state](of)
  return (
    <form
      method="post"
      action={paths.state(of.id)}
      hx-post={paths.state(of.id)}
      hx-target={`#${regionId(region, of.id)}`}
      hx-swap="outerMorph"
      hx-disable="find button"
    >
      <input type="hidden" name="state" value={state} />
      <input type="hidden" name="region" value={region} />
      <input type="hidden" name="generation" value={of.desiredGeneration} />
      <button
        class={`wish ${state.toLowerCase()}`}
        aria-disabled={refusal ? 'true' : undefined}
        disabled={refusal !== undefined}
        title={refusal ?? `${verb(state, of)} ${of.name}`}
      >
        {verb(state, of)}
        <span class="hidden"> {of.name}</span>
      </button>
    </form>
  )
}
