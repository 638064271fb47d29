/** Bytes for people: offset, hexadecimal, and the text beside it with everything unprintable as a dot. */

const row_bytes = 16

/** `00000000  00 00 00 00 07 0c 61 62  63                       |......abc|`, 16 bytes a line. */
export const hexDump = (bytes: Uint8Array, indent = ''): string => {
  const lines: string[] = []
  for (let at = 0; at < bytes.length; at += row_bytes) {
    const row = [...bytes.subarray(at, at + row_bytes)]
    const hex = Array.from({ length: row_bytes }, (_, i) => {
      const pair = row[i] === undefined ? '  ' : row[i].toString(16).padStart(2, '0')
      return i === row_bytes / 2 ? ` ${pair}` : pair
    }).join(' ')
    const text = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('')
    lines.push(`${indent}${at.toString(16).padStart(8, '0')}  ${hex}  |${text}|`)
  }
  return lines.join('\n')
}
