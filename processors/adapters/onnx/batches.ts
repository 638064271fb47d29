/** Which texts share an inference call: same padded width, and no more tokens than the budget. */

/** `width` tokens each, padding included; `members` are indices of the texts. */
export type InferenceBatch = { readonly width: number; readonly members: readonly number[] }

/**
 * The width a text is padded to. It depends on the text alone, so that no neighbour changes the shape of its computation:
 * with pooling outside the graph its vector is bitwise the same in every batch (docs/adr/0008).
 */
export const widthOf = (tokens: number, length_bucket: number, tokens_max: number): number =>
  Math.min(tokens_max, Math.ceil(tokens / length_bucket) * length_bucket)

/** Batches of equal width, widest first; each holds at most `batch_tokens_max` tokens with padding, or one text. */
export const planBatches = (
  lengths: readonly number[],
  { length_bucket, tokens_max, batch_tokens_max }: { length_bucket: number; tokens_max: number; batch_tokens_max: number },
): readonly InferenceBatch[] => {
  const by_width = new Map<number, number[]>()
  for (const [index, length] of lengths.entries()) {
    if (length === 0) continue
    const width = widthOf(length, length_bucket, tokens_max)
    const members = by_width.get(width)
    if (members === undefined) by_width.set(width, [index])
    else members.push(index)
  }
  const batches: InferenceBatch[] = []
  for (const width of [...by_width.keys()].sort((a, b) => b - a)) {
    const members = by_width.get(width)!
    const fit = Math.max(1, Math.floor(batch_tokens_max / width))
    // Equal parts: 33 texts where 32 fit go as 17 and 16, not as 32 and 1.
    const part = Math.ceil(members.length / Math.ceil(members.length / fit))
    for (let at = 0; at < members.length; at += part) batches.push({ width, members: members.slice(at, at + part) })
  }
  return batches
}
