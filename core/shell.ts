const SAFE_WORD = /^[-_./:=@%+,a-zA-Z0-9]+$/

/**
 * Quotes one argument for a POSIX shell: what the shell reads back is the argument, byte for byte.
 * Single quotes switch off every expansion; the only character that needs care inside them is the quote itself.
 * @throws RangeError for a NUL character, which no argument vector can carry
 */
export function quote(argument: string): string {
  if (argument.includes('\0')) throw new RangeError('an argument cannot hold a NUL character')
  return SAFE_WORD.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`
}

/** Joins arguments into the tail of one shell command line. Not for the command word itself: `a=b` there is an assignment. */
export const quoteAll = (argv: readonly string[]): string => argv.map(quote).join(' ')
