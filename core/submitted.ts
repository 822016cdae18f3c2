import { buildCommand } from './build-command.ts'
import type { Experiment } from './experiment.ts'
import type { Submitted } from './facts.ts'
import { recipeOf } from './recipe.ts'

/** What is kept of a command line; the spec has all of it. */
const COMMAND_CHARS_MAX = 8_192

/** What a launch that begins now sends. */
export const submittedOf = ({ name, spec, specRevision }: Experiment): Submitted => ({
  specRevision,
  command: buildCommand(name, spec).line.slice(0, COMMAND_CHARS_MAX),
  recipe: recipeOf(spec),
})
