import type { JSX } from 'hono/jsx/jsx-runtime'
import { whyNotAdopt, whyNotConfirm } from './can.ts'
import type { ExperimentView } from './model.ts'
import { paths } from './paths.ts'
import { type Region, regionId } from './wish.tsx'

/** Hands off, or hands on again: whichever can be said now. */
export const Hold = ({ of, region }: { of: ExperimentView; region: Region }): JSX.Element => {
  const isHeld = of.heldBy !== null
  const action = isHeld ? paths.release(of.id) : paths.hold(of.id)
  return (
    <form
      method="post"
      action={action}
      hx-post={action}
      hx-target={`#${regionId(region, of.id)}`}
      hx-swap="outerMorph"
      hx-disable="find button"
    >
      <input type="hidden" name="region" value={region} />
      <button
        class={`wish ${isHeld ? 'release' : 'hold'}`}
        title={
          isHeld
            ? `held by ${of.heldBy ?? ''}: let SkyDeck go on with ${of.name}`
            : `Hands off: SkyDeck does nothing with ${of.name} until it is released`
        }
      >
        {isHeld ? 'Release' : 'Hold'}
        <span class="hidden"> {of.name}</span>
      </button>
    </form>
  )
}

/** Brings a deleted experiment back. */
export const Undelete = ({ id, name }: { id: number; name: string }): JSX.Element => (
  <form method="post" action={paths.undelete(id)} class="inline">
    <button class="wish" title={`Bring ${name} back; what ran does not run again by that`}>
      Undelete<span class="hidden"> {name}</span>
    </button>
  </form>
)

/** What is seldom said, each behind a fold. It is not drawn anew while somebody types into it. */
export const MoreVerbs = ({ of }: { of: ExperimentView }): JSX.Element => (
  <section class="panel" aria-label="More">
    <details>
      <summary>I checked by hand</summary>
      <ConfirmGone of={of} />
    </details>
    <details>
      <summary>Adopt a job or a cluster</summary>
      <Adopt of={of} />
    </details>
    <details>
      <summary>Delete</summary>
      <form method="post" action={paths.remove(of.id)}>
        <p>Whatever runs is stopped first; the name becomes free. You can undo it, as long as the name is.</p>
        <button class="wish terminated">Delete {of.name}</button>
      </form>
    </details>
  </section>
)

const ConfirmGone = ({ of }: { of: ExperimentView }): JSX.Element => {
  const refusal = whyNotConfirm(of)
  return (
    <form method="post" action={paths.confirmGone(of.id)}>
      <p>
        For what SkyPilot cannot be asked about: you looked at the machines yourself, and nothing of it runs
        any more. SkyDeck takes your word and asks no more.
      </p>
      <div class="field">
        <label for="gone-reason">How did you check?</label>
        <input
          id="gone-reason"
          name="reason"
          required
          maxlength={500}
          autocomplete="off"
          placeholder="looked into the console of the cloud"
        />
      </div>
      <button class="wish stopped" disabled={refusal !== undefined} title={refusal}>
        Nothing of it runs any more
      </button>
      {refusal ? <span class="quiet"> {refusal}</span> : null}
    </form>
  )
}

const Adopt = ({ of }: { of: ExperimentView }): JSX.Element => {
  const refusal = whyNotAdopt(of)
  return (
    <form method="post" action={paths.adopt(of.id)}>
      <p>
        Takes what runs already, and belongs to nobody, into this experiment: a managed job, a cluster, or a
        job on a cluster. See <a href={paths.orphans()}>what belongs to nobody</a>.
      </p>
      <div class="pair">
        <div class="field">
          <label for="adopt-job-id">Job id</label>
          <input id="adopt-job-id" name="job_id" type="number" min="1" />
        </div>
        <div class="field">
          <label for="adopt-job-name">Job name</label>
          <input id="adopt-job-name" name="job_name" autocomplete="off" />
        </div>
        <div class="field">
          <label for="adopt-cluster">Cluster</label>
          <input id="adopt-cluster" name="cluster_name" autocomplete="off" />
        </div>
      </div>
      <button class="wish running" disabled={refusal !== undefined} title={refusal}>
        Adopt
      </button>
      {refusal ? <span class="quiet"> {refusal}</span> : null}
    </form>
  )
}
