import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import { FLAG_STYLES } from '../core/spec.ts'
import { type Frame, Layout } from './layout.tsx'
import { paths } from './paths.ts'

/** What stands in the fields: text, as a person types it. */
export interface FormValues {
  name: string
  description: string
  command: string
  flag_style: string
  flags: string
  nodes: string
  gpus: string
  accelerator: string
  setup: string
  envs: string
  base_command: string
  tool_path: string
  git_branch: string
  cloud: string
  instance_type: string
  spot: boolean
  start: boolean
}

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
      {editing ? <p class="quiet">What runs goes on as it is; the next run takes the change.</p> : null}
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
const Form = ({ values, errors, editing }: FormProps): JSX.Element => (
  <form class="form" method="post" action={editing ? paths.edit(editing.id) : paths.create()}>
    <Text field="name" label="Name" values={values} errors={errors} hint="letters, digits, dots, dashes" />
    <Area
      field="command"
      label="Command"
      values={values}
      errors={errors}
      rows={4}
      hint="{name}, {nodes}, {gpus} and {flags} are filled in. Each node runs it."
      placeholder="python train.py --name {name} {flags}"
    />
    <div class="pair">
      <Area
        field="flags"
        label="Flags"
        values={values}
        errors={errors}
        rows={5}
        hint="one a line: key=value"
        placeholder={'trainer.learning_rate=0.001\nseed=7'}
      />
      <FlagStyle values={values} errors={errors} />
    </div>
    <div class="pair">
      <Text field="nodes" label="Nodes" values={values} errors={errors} type="number" />
      <Text field="gpus" label="GPUs a node" values={values} errors={errors} type="number" />
      <Text field="accelerator" label="Kind of GPU" values={values} errors={errors} placeholder="H100" />
    </div>
    <Preview />
    <More values={values} errors={errors} />
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

type FieldProps = {
  field: Exclude<keyof FormValues, 'spot' | 'start'>
  label: string
  values: FormValues
  errors: ReadonlyMap<string, string>
  hint?: string
  placeholder?: string
}

const about = (field: string, error: string | undefined) => ({
  id: field,
  name: field,
  'aria-describedby': `${field}-about`,
  'aria-invalid': error ? 'true' : undefined,
})

/** The label names the field and nothing else; the hint describes it. */
const Field = (props: {
  field: string
  label: string
  error: string | undefined
  hint?: string | undefined
  children: NonNullable<Child>
}): JSX.Element => (
  <div class="field">
    <label for={props.field}>{props.label}</label>
    {props.children}
    <span id={`${props.field}-about`} class={props.error ? 'error' : 'hint'}>
      {props.error ?? props.hint ?? ''}
    </span>
  </div>
)

const Text = (props: FieldProps & { type?: 'text' | 'number' }): JSX.Element => {
  const { field, label, values, errors, hint, placeholder, type = 'text' } = props
  return (
    <Field field={field} label={label} error={errors.get(field)} hint={hint}>
      <input
        {...about(field, errors.get(field))}
        type={type}
        value={values[field]}
        placeholder={placeholder}
        autocomplete="off"
        spellcheck={false}
      />
    </Field>
  )
}

const Area = (props: FieldProps & { rows: number }): JSX.Element => {
  const { field, label, values, errors, hint, placeholder, rows } = props
  return (
    <Field field={field} label={label} error={errors.get(field)} hint={hint}>
      <textarea {...about(field, errors.get(field))} rows={rows} placeholder={placeholder} spellcheck={false}>
        {values[field]}
      </textarea>
    </Field>
  )
}

const FlagStyle = ({ values, errors }: Pick<FieldProps, 'values' | 'errors'>): JSX.Element => (
  <Field field="flag_style" label="Flags are written as" error={errors.get('flag_style')}>
    <select {...about('flag_style', errors.get('flag_style'))}>
      {FLAG_STYLES.map((style) => (
        <option value={style} selected={style === values.flag_style}>
          {style === 'environment' ? 'environment variables' : style}
        </option>
      ))}
    </select>
  </Field>
)

const MORE = ['setup', 'envs', 'base_command', 'tool_path', 'git_branch', 'cloud', 'instance_type'] as const

const More = ({ values, errors }: Pick<FieldProps, 'values' | 'errors'>): JSX.Element => (
  <details open={MORE.some((field) => errors.has(field)) || values.setup !== '' || values.envs !== ''}>
    <summary>More</summary>
    <Text field="description" label="What it is about" values={values} errors={errors} />
    <Area
      field="setup"
      label="Setup"
      values={values}
      errors={errors}
      rows={2}
      hint="runs before the command, on each node"
      placeholder="pip install -r requirements.txt"
    />
    <Area
      field="envs"
      label="Environment"
      values={values}
      errors={errors}
      rows={2}
      hint="one a line: NAME=value"
    />
    <div class="pair">
      <Text
        field="cloud"
        label="Cloud"
        values={values}
        errors={errors}
        placeholder="aws, kubernetes, slurm/…"
      />
      <Text field="instance_type" label="Instance type" values={values} errors={errors} />
      <Field field="spot" label="Spot" error={errors.get('spot')}>
        <input id="spot" type="checkbox" name="spot" value="true" checked={values.spot} />
      </Field>
    </div>
    <p class="quiet">
      Without a command, the launcher rule holds: launcher --gpus --nodes [--git-ref] [tool] run=name
      key=value…
    </p>
    <div class="pair">
      <Text field="base_command" label="Launcher" values={values} errors={errors} />
      <Text field="tool_path" label="Tool" values={values} errors={errors} />
      <Text field="git_branch" label="Git branch" values={values} errors={errors} />
    </div>
  </details>
)
