/** Texts as one run of UTF-8, so that they cross to a thread by transfer and not as copies of strings. */

/** `bytes` holds the texts one after the other; `ends[i]` is the index after the last byte of text i. Each has a buffer of its own. */
export type PackedTexts = { readonly bytes: Uint8Array<ArrayBuffer>; readonly ends: Uint32Array<ArrayBuffer> }

const encoder = new TextEncoder()

/** Bytes of a text in UTF-8. Half of a surrogate pair counts as U+FFFD, which is what it becomes. */
export const bytesOf = (text: string): number => Buffer.byteLength(text, 'utf8')

/** Packs texts of less than 4 GiB together. Half of a surrogate pair has no UTF-8: it becomes U+FFFD, as everywhere else. */
export const packTexts = (texts: readonly string[]): PackedTexts => {
  let total = 0
  for (const text of texts) total += bytesOf(text)
  const bytes = new Uint8Array(total)
  const ends = new Uint32Array(texts.length)
  let at = 0
  for (const [index, text] of texts.entries()) {
    at += encoder.encodeInto(text, bytes.subarray(at)).written
    ends[index] = at
  }
  return { bytes, ends }
}

/** The texts again, each with `prefix` before it. A byte order mark stays: it is part of the text. */
export const unpackTexts = ({ bytes, ends }: PackedTexts, prefix = ''): readonly string[] => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let from = 0
  return Array.from(ends, (end) => {
    const text = prefix + buffer.toString('utf8', from, end)
    from = end
    return text
  })
}
