import type { JSX } from 'hono/jsx/jsx-runtime'
import { FLAG_STYLES } from '../core/spec.ts'
import { Area, Choice, Field, type FormState, Text } from './fields.tsx'
import { PolicyFields } from './form-policy.tsx'
import type { FormValues } from './form-values.ts'
import { type Frame, Layout } from './layout.tsx'
import { paths } from './paths.ts'

export interface FormProps {
  frame: Frame
  values: FormValues
  errors: ReadonlyMap<string, string>
  /** Null for a new experiment. */
  editing: { id: number; name: string } | null
}

export const FormPage = (props: FormProps): JSX.Element => {
  const { frame, errors, editing } = props
  const title = editing ? `Edit ${editing.name}` : 'New experiment'
  return (
    <Layout title={title} frame={frame}>
      <p class="crumbs">
        <a href={editing ? paths.experiment(editing.id) : paths.list()}>{editing?.name ?? 'Experiments'}</a>{' '}
        <span aria-hidden="true">/</span> {editing ? 'edit' : 'new'}
      </p>
      <h1>{title}</h1>
      {editing ? (
        <p class="quiet">
          What runs goes on as it is; the next run takes the change. How it is treated holds at once.
        </p>
      ) : null}
      {errors.size > 0 ? (
        <p class="notice" role="alert">
          {errors.size === 1 ? 'One field needs another look.' : `${errors.size} fields need another look.`}
        </p>
      ) : null}
      <Form {...props} />
    </Layout>
  )
}

/** While a person types, only the preview is asked for; sending the form is left to the browser. */
const Form = ({ values, errors, editing }: FormProps): JSX.Element => {
  const state = { values, errors }
  return (
    <form class="form" method="post" action={editing ? paths.edit(editing.id) : paths.create()}>
      <Text field="name" label="Name" {...state} hint="letters, digits, dots, dashes" />
      <Area
        field="command"
        label="Command"
        {...state}
        rows={4}
        hint="{name}, {nodes}, {gpus} and {flags} are filled in. Each node runs it."
        placeholder="python train.py --name {name} {flags}"
      />
      <div class="pair">
        <Area
          field="flags"
          label="Flags"
          {...state}
          rows={5}
          hint="one a line: key=value"
          placeholder={'trainer.learning_rate=0.001\nseed=7'}
        />
        <Choice {...state} field="flag_style" label="Flags are written as" options={STYLES} />
      </div>
      <div class="pair">
        <Text field="nodes" label="Nodes" {...state} type="number" />
        <Text field="gpus" label="GPUs a node" {...state} type="number" />
        <Text field="accelerator" label="Kind of GPU" {...state} placeholder="H100" />
      </div>
      <Preview />
      <PolicyFields {...state} />
      <More {...state} />
      <p class="submit">
        <button class="primary">{editing ? 'Save' : 'Create'}</button>
        {editing ? null : (
          <label>
            <input type="checkbox" name="start" value="true" checked={values.start} /> and start it now
          </label>
        )}
      </p>
    </form>
  )
}

/** The line that will be submitted, made by the function that submits it. */
const Preview = (): JSX.Element => (
  <div
    id="preview"
    class="preview"
    hx-post={paths.preview()}
    hx-trigger="load, input delay:250ms from:'closest form'"
    hx-include="closest form"
    hx-swap="innerMorph"
  >
    <PreviewLine line="" problem={null} />
  </div>
)

export const PreviewLine = ({ line, problem }: { line: string; problem: string | null }): JSX.Element => (
  <>
    <span class="label">What will run</span>
    {problem ? <p class="error">{problem}</p> : <pre class="command">{line}</pre>}
  </>
)

const STYLES = FLAG_STYLES.map(
  (style) => [style, style === 'environment' ? 'environment variables' : style] as const,
)

const MORE = ['setup', 'envs', 'base_command', 'tool_path', 'git_branch', 'cloud', 'instance_type'] as const

const More = (state: FormState): JSX.Element => {
  const { values, errors } = state
  return (
    <details open={MORE.some((field) => errors.has(field)) || values.setup !== '' || values.envs !== ''}>
      <summary>More</summary>
      <Text field="description" label="What it is about" {...state} />
      <Area
        field="setup"
        label="Setup"
        {...state}
        rows={2}
        hint="runs before the command, on each node"
        placeholder="pip install -r requirements.txt"
      />
      <Area field="envs" label="Environment" {...state} rows={2} hint="one a line: NAME=value" />
      <div class="pair">
        <Text field="cloud" label="Cloud" {...state} placeholder="aws, kubernetes, slurm/…" />
        <Text field="instance_type" label="Instance type" {...state} />
        <Field field="spot" label="Spot" error={errors.get('spot')}>
          <input id="spot" type="checkbox" name="spot" value="true" checked={values.spot} />
        </Field>
      </div>
      <p class="quiet">
        Without a command, the launcher rule holds: launcher --gpus --nodes [--git-ref] [tool] run=name
        key=value…
      </p>
      <div class="pair">
        <Text field="base_command" label="Launcher" {...state} />
        <Text field="tool_path" label="Tool" {...state} />
        <Text field="git_branch" label="Git branch" {...state} />
      </div>
    </details>
  )
}
