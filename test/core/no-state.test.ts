import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

const root = new URL('../../', import.meta.url).pathname
const files = ['core', 'workflows'].flatMap((folder) =>
  readdirSync(`${root}${folder}`).map((file) => `${folder}/${file}`),
)

/** What a module could remember from one workflow to the next, at the left margin or as a static field. */
const MEMORY = [
  /^(?:export )?(?:let|var) /m,
  /^(?:export )?const [^=]+= new (?:Map|WeakMap|WeakSet)\b/m,
  // A set that says so can only be read.
  /^(?:export )?const \w+ = new Set\b/m,
  // A regular expression with these flags remembers where it was.
  /^(?:export )?const [^=]+= \/.*\/[a-z]*[gy][a-z]*$/m,
  /^\s+static (?!readonly)/m,
]

/** All workflows of a worker share one evaluation of these modules. */
test.each(files)('%s holds nothing that changes', (file) => {
  const text = readFileSync(`${root}${file}`, 'utf8')
  expect(MEMORY.filter((pattern) => pattern.test(text))).toEqual([])
})
