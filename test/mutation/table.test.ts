import { expect, test } from 'vitest'
import { edited, sourceOf } from './copy.ts'
import { MUTANTS } from './mutants.ts'

test('each text that is switched off is in the source exactly once', () => {
  for (const { edits } of MUTANTS)
    for (const edit of edits) expect(edited(sourceOf(edit.file), edit)).not.toBe(sourceOf(edit.file))
})

test('a text that is not there exactly once is refused', () => {
  const of = (text: string) => () => edited('one two one', { file: 'a.ts', text, becomes: '' })
  expect(of('two')()).toBe('one  one')
  expect(of('three')).toThrow('0 times, not once')
  expect(of('one')).toThrow('2 times, not once')
})

test('docs/protections.md has a section for every protection that is switched off, with the test that notices', () => {
  const sections = sourceOf('docs/protections.md').split(/^## /m)
  const untold = MUTANTS.filter(({ protection, test: [file, title] }) => {
    const section = sections.find((each) => each.toLowerCase().startsWith(`${protection.toLowerCase()}\n`))
    return !section?.includes(`\`${title}\``) || !section.includes(`\`${file}\``)
  })
  expect(untold.map(({ protection, test: [, title] }) => `${protection}: ${title}`)).toEqual([])
})
