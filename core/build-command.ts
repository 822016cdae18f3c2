import { pythonNumber } from './python-number.ts'
import { quote, quoteAll } from './shell.ts'
import type { Flags, FlagStyle, FlagValue, Spec } from './spec.ts'

/** What will be submitted: one shell line, and what the job's environment gets beside it. */
export interface BuiltCommand {
  line: string
  envs: Record<string, string>
}

type Placeholder = 'name' | 'nodes' | 'gpus' | 'flags'

/**
 * Builds the command line of an experiment. The page shows what this returns, and the same value is submitted.
 * Values never reach a shell unquoted. Pure.
 */
export function buildCommand(name: string, spec: Spec): BuiltCommand {
  switch (spec.command.form) {
    case 'launcher':
      return { line: launcherLine(name, spec, spec.command), envs: { ...spec.envs } }
    case 'template':
      return templateLine(name, spec, spec.command.template, spec.command.flagStyle)
  }
}

/** Text of a flag's value: true and false in lower case, numbers as Python prints them, text as it is. */
export const flagText = (value: FlagValue): string =>
  typeof value === 'number' ? pythonNumber(value) : String(value)

/** Flags in the order of their code points, which is how Python sorted them for the original. */
export const sortedFlags = (flags: Flags): Array<[string, FlagValue]> =>
  Object.entries(flags).sort(([a], [b]) => compareCodePoints(a, b))

const compareCodePoints = (a: string, b: string): number => {
  const left = Array.from(a)
  const right = Array.from(b)
  const at = left.findIndex((char, i) => char !== right[i])
  if (at === -1) return left.length - right.length
  return (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? -1)
}

/** The original's rule: BASE --gpus=G --nodes=N [--git-ref=B] [TOOL] run=NAME key=value... */
function launcherLine(
  name: string,
  spec: Spec,
  command: Extract<Spec['command'], { form: 'launcher' }>,
): string {
  const { baseCommand, toolPath, gitBranch } = command
  const words = [`--gpus=${spec.gpus}`, `--nodes=${spec.nodes}`]
  if (gitBranch && gitBranch !== '-') words.push(`--git-ref=${gitBranch}`)
  if (toolPath) words.push(toolPath)
  words.push(`run=${name}`)
  for (const [key, value] of sortedFlags(spec.flags)) words.push(`${key}=${flagText(value)}`)
  // The base command is the program its owner chose, words and all ("uv run train.py"): it is not data.
  return [baseCommand.trim(), quoteAll(words)].filter((part) => part !== '').join(' ')
}

function templateLine(name: string, spec: Spec, template: string, style: FlagStyle): BuiltCommand {
  const flags = sortedFlags(spec.flags)
  const values: Record<Placeholder, string> = {
    name: quote(name),
    nodes: String(spec.nodes),
    gpus: String(spec.gpus),
    flags:
      style === 'environment'
        ? ''
        : quoteAll(flags.flatMap(([key, value]) => asArguments(key, value, style))),
  }
  const line = template.replace(/\{(name|nodes|gpus|flags)\}/g, (_, key: Placeholder) => values[key]).trim()
  const envs = { ...spec.envs }
  if (style === 'environment') for (const [key, value] of flags) envs[environmentName(key)] = flagText(value)
  return { line, envs }
}

function asArguments(key: string, value: FlagValue, style: FlagStyle): string[] {
  const text = flagText(value)
  switch (style) {
    case 'key=value':
      return [`${key}=${text}`]
    case '--key=value':
      return [`--${key}=${text}`]
    case '--key value':
      return [`--${key}`, text]
    case 'environment':
      return []
  }
}

/** `trainer.lr` becomes TRAINER_LR: a name that every shell accepts. */
export const environmentName = (key: string): string => key.toUpperCase().replaceAll(/[^A-Z0-9_]/g, '_')
