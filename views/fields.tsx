import type { Child } from 'hono/jsx'
import type { JSX } from 'hono/jsx/jsx-runtime'
import type { FormValues, TextField } from './form-values.ts'

export interface FormState {
  values: FormValues
  errors: ReadonlyMap<string, string>
}

type FieldProps = FormState & {
  field: TextField
  label: string
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
export const Field = (props: {
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

export const Text = (props: FieldProps & { type?: 'text' | 'number' }): JSX.Element => {
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

export const Area = (props: FieldProps & { rows: number }): JSX.Element => {
  const { field, label, values, errors, hint, placeholder, rows } = props
  return (
    <Field field={field} label={label} error={errors.get(field)} hint={hint}>
      <textarea {...about(field, errors.get(field))} rows={rows} placeholder={placeholder} spellcheck={false}>
        {values[field]}
      </textarea>
    </Field>
  )
}

/** `options` are what is sent, and how it is called. */
export const Choice = (
  props: FieldProps & { options: ReadonlyArray<readonly [value: string, words: string]> },
): JSX.Element => {
  const { field, label, values, errors, hint, options } = props
  return (
    <Field field={field} label={label} error={errors.get(field)} hint={hint}>
      <select {...about(field, errors.get(field))}>
        {options.map(([value, words]) => (
          <option value={value} selected={value === values[field]}>
            {words}
          </option>
        ))}
      </select>
    </Field>
  )
}
