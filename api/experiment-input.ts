import { z } from '@hono/zod-openapi'
import {
  DESIRED_STATES,
  EXECUTORS,
  FLAG_STYLES,
  type Flags,
  GPUS_MAX,
  isFlags,
  isName,
  NODES_MAX,
  type Spec,
  whyNotFlags,
} from '../core/spec.ts'
import { policyFields } from './policy-input.ts'

const TEXT_CHARS_MAX = 100_000
const NAME_RULE =
  'a name starts with a letter, ends with a letter or digit, and holds letters, digits, dots, dashes and underscores, at most 63 in all'

const line = z.string().max(4_096).trim()
const script = z.string().max(TEXT_CHARS_MAX)
const orNull = <T extends z.ZodType>(schema: T) => schema.nullable()

export const FlagsInput = z
  .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
  .superRefine((flags, context) => {
    const why = whyNotFlags(flags)
    if (why) context.addIssue({ code: 'custom', message: why })
  })
  .transform((flags): Flags => (isFlags(flags) ? flags : {}))
  .openapi({ example: { 'trainer.learning_rate': 0.001 } })

const Name = z.string().trim().refine(isName, NAME_RULE).openapi({ example: 'ppo-baseline' })

const whole = (min: number, max: number) => {
  const error = `must be a whole number from ${min} to ${max}`
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error })
}
const Nodes = whole(1, NODES_MAX)
const Gpus = whole(0, GPUS_MAX)
const Envs = z.record(
  z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'not a name of an environment variable'),
  script,
)

/** The fields of a spec that a request may carry, under the names of the original SkyDeck where it had them. */
const specFields = {
  executor: z
    .enum(EXECUTORS, `must be one of ${EXECUTORS.join(', ')}`)
    .openapi({ description: 'managed: a managed job; cluster: a cluster of its own, which keeps its disk' }),
  base_command: line.openapi({ description: 'the launcher of the original rule' }),
  tool_path: orNull(line),
  git_branch: orNull(line),
  command: orNull(script).openapi({
    description: 'a command template with {name}, {nodes}, {gpus} and {flags}; replaces the launcher rule',
    example: 'python train.py --name {name} {flags}',
  }),
  flag_style: z.enum(FLAG_STYLES),
  nodes: Nodes,
  gpus: Gpus,
  accelerator: orNull(line),
  instance_type: orNull(line),
  cloud: orNull(line),
  spot: z.boolean(),
  setup: orNull(script),
  envs: Envs,
}

const noteFields = {
  description: orNull(script),
  tags: z.array(line).max(100),
  group: orNull(line),
  order: z.int(),
}

/** The body of a creation. A blank name, or one that starts with `new.experiment`, is made up. */
export const CreateInput = z
  .object({
    ...z.object({ ...specFields, ...policyFields, ...noteFields }).partial().shape,
    name: z
      .string()
      .trim()
      .transform((name) => (wantsName(name) ? freshName() : name))
      .refine(isName, NAME_RULE)
      .openapi({ example: 'ppo-baseline' }),
    flags: FlagsInput.default({}),
    desired_state: z.enum(DESIRED_STATES).default('STOPPED'),
  })
  .openapi('CreateExperiment')
export type CreateInput = z.infer<typeof CreateInput>

/** The body of an edit: only what is given changes. */
export const EditInput = z
  .object({ ...specFields, ...policyFields, ...noteFields, name: Name, flags: FlagsInput })
  .partial()
  .openapi('EditExperiment')
export type EditInput = z.infer<typeof EditInput>

const wantsName = (name: string): boolean =>
  name === '' || /^new experiment$/i.test(name) || /^new\.experiment(?:\.|$)/i.test(name)

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'

function freshName(): string {
  const random = crypto.getRandomValues(new Uint8Array(6))
  return `new.experiment.${Array.from(random, (byte) => ALPHABET[byte % ALPHABET.length]).join('')}`
}

const NEW_LAUNCHER = { form: 'launcher', baseCommand: 'lt', toolPath: null, gitBranch: null } as const
const NEW_TEMPLATE = { form: 'template', template: '', flagStyle: 'key=value' } as const

const DEFAULT_SPEC: Spec = {
  executor: 'managed',
  command: NEW_LAUNCHER,
  flags: {},
  nodes: 1,
  gpus: 0,
  accelerator: null,
  cloud: null,
  instanceType: null,
  spot: false,
  setup: null,
  envs: {},
}

export const specOf = (input: CreateInput): Spec => ({ ...DEFAULT_SPEC, ...changesOf(input, DEFAULT_SPEC) })

/** What an edit changes in a spec; fields that were not given are absent. */
export function changesOf(input: EditInput, now: Spec): Partial<Spec> {
  const { executor, flags, nodes, gpus, accelerator, cloud, spot, setup, envs } = input
  const command = commandOf(input, now.command)
  const instanceType = input.instance_type
  const given = { executor, command, flags, nodes, gpus, accelerator, cloud, instanceType, spot, setup, envs }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

/** A command template, once given, replaces the launcher rule; clearing it brings the launcher rule back. */
function commandOf(input: EditInput, now: Spec['command']): Spec['command'] | undefined {
  const { command } = input
  const isTemplate = command === undefined ? now.form === 'template' : (command ?? '').trim() !== ''
  return isTemplate ? templateOf(input, now) : launcherOf(input, now)
}

function templateOf(
  { command, flag_style: style }: EditInput,
  now: Spec['command'],
): Spec['command'] | undefined {
  if (command == null && style === undefined) return undefined
  const before = now.form === 'template' ? now : NEW_TEMPLATE
  return { form: 'template', template: command ?? before.template, flagStyle: style ?? before.flagStyle }
}

function launcherOf(input: EditInput, now: Spec['command']): Spec['command'] | undefined {
  const { command, base_command: base, tool_path: tool, git_branch: branch } = input
  if ([command, base, tool, branch].every((field) => field === undefined)) return undefined
  const before = now.form === 'launcher' ? now : NEW_LAUNCHER
  return {
    form: 'launcher',
    baseCommand: base ?? before.baseCommand,
    toolPath: tool === undefined ? before.toolPath : tool,
    gitBranch: branch === undefined ? before.gitBranch : branch,
  }
}
