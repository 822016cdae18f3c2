import type { JSX } from 'hono/jsx/jsx-runtime'
import { Choice, type FormState, Text } from './fields.tsx'
import { POLICY_FIELDS } from './form-values.ts'

/** How SkyDeck treats the experiment. Every field has a default, so nobody must open it. */
export const PolicyFields = (props: FormState): JSX.Element => (
  <details open={POLICY_FIELDS.some((field) => props.errors.has(field))}>
    <summary>How it is treated</summary>
    <Choice
      {...props}
      field="executor"
      label="Runs as"
      hint="a cluster keeps its disk while it is stopped, and starts the next run sooner"
      options={[
        ['managed', 'a managed job: machines come and go with it'],
        ['cluster', 'a cluster of its own, until you terminate it'],
      ]}
    />
    <Restarts {...props} />
    <Limits {...props} />
  </details>
)

const Limits = (props: FormState): JSX.Element => (
  <>
    <div class="pair">
      <Text
        {...props}
        field="max_run_seconds"
        label="Longest run"
        placeholder="no limit"
        hint="of one attempt, such as 12 h"
      />
      <Text
        {...props}
        field="max_age_seconds"
        label="Longest wait and run"
        placeholder="no limit"
        hint="from your wish on, all restarts included, such as 3 d"
      />
    </div>
    <div class="pair">
      <Choice
        {...props}
        field="priority"
        label="Priority"
        hint="in the start queue"
        options={[
          ['1', '1 – first'],
          ['2', '2'],
          ['3', '3 – as usual'],
          ['4', '4'],
          ['5', '5 – last'],
        ]}
      />
      <Choice
        {...props}
        field="drift"
        label="If somebody else ends it"
        hint="outside SkyDeck, or its machines go away"
        options={[
          ['ask', 'wait for me'],
          ['heal', 'start it again'],
          ['stop', 'leave it stopped'],
        ]}
      />
      <Text
        {...props}
        field="autostop_minutes"
        label="Stop an idle cluster after"
        placeholder="never"
        hint="minutes without a job; only for a cluster"
      />
    </div>
  </>
)

const Restarts = (props: FormState): JSX.Element => (
  <>
    <div class="pair">
      <Choice
        {...props}
        field="restart_when"
        label="When it ends, start it again"
        options={[
          ['never', 'never'],
          ['on-failure', 'if it failed'],
          ['always', 'always'],
        ]}
      />
      <Choice
        {...props}
        field="restart_failures"
        label="Which failures"
        options={[
          ['any', 'any'],
          ['infrastructure', 'of machines and limits'],
          ['code', 'of my code'],
        ]}
      />
      <Text
        {...props}
        field="restart_exit_codes"
        label="Exit codes"
        placeholder="any"
        hint="of my code, such as 1, 137"
      />
    </div>
    <div class="pair">
      <Text
        {...props}
        field="restart_max_restarts"
        label="Restarts"
        type="number"
        hint="at most, in one run"
      />
      <Text
        {...props}
        field="restart_backoff_seconds"
        label="First pause"
        hint="doubles with each quick failure"
      />
      <Text {...props} field="restart_backoff_max_seconds" label="Longest pause" hint="such as 10 min" />
      <Text
        {...props}
        field="restart_healthy_seconds"
        label="Healthy after"
        hint="counts of restarts begin anew"
      />
    </div>
  </>
)
