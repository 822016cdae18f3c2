/** The longest beginning of a text that takes no more than so many bytes as UTF-8, whole characters only. */
export function clipBytes(text: string, bytesMax: number): string {
  let bytes = 0
  let clipped = ''
  for (const character of text) {
    bytes += bytesOf(character.codePointAt(0) ?? 0)
    if (bytes > bytesMax) return clipped
    clipped += character
  }
  return clipped
}

function bytesOf(codePoint: number): number {
  if (codePoint < 0x80) return 1
  if (codePoint < 0x800) return 2
  return codePoint < 0x1_0000 ? 3 : 4
}
