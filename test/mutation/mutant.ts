/** A piece of shipped source, and what it becomes while a protection is switched off. */
export interface Edit {
  file: string
  /** Occurs in the file exactly once. */
  text: string
  becomes: string
}

/** A protection that is switched off, and who must notice. */
export interface Mutant {
  protection: string
  edits: readonly Edit[]
  /** The file of the test, and the title of the test, which must fail. */
  test: readonly [file: string, title: string]
  /** Tests of the tables need Postgres. */
  project: 'unit' | 'stack'
}

/** Switches something off in one file; the test is of that file's kind. */
export const mutantsOf =
  (file: string, testFile: string, project: Mutant['project'] = 'unit') =>
  (protection: string, text: string, becomes: string, title: string): Mutant => ({
    protection,
    edits: [{ file, text, becomes }],
    test: [testFile, title],
    project,
  })
