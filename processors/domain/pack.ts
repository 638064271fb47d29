/** How many units are sold as one, read from a title, only where the wording leaves no doubt. */

/**
 * `5 Pack`, `6-pack`, `2PK`, `pack of 12`, `12er-Pack`, `lot de 3`, `paquete de 4`, `confezione da 6`, `3件装`, `5個セット`.
 * Sets, pieces and counts are left alone: a set of three tins is one product, a puzzle of 1000 pieces too.
 */
const wordings: readonly RegExp[] = [
  /(?<![\p{L}\d.,])(\d{1,3})[ -]?(?:packs?|pk|er[ -]?pack)(?![\p{L}\d])/iu,
  /(?<!\p{L})(?:multi-?)?pack of (\d{1,3})(?![\d.,])/iu,
  /(?<!\p{L})(?:lot de|paquete de|pack de|confezione da|verpakking van) (\d{1,3})(?![\d.,])/iu,
  /(?<![\d.,])(\d{1,3}) ?(?:件装|个装|個セット|本セット|個入り)/u,
]

/** The pack size a title states, 2 to 999, with the words that state it; undefined when it states none, or two that differ. */
export const packIn = (title: string): { readonly units: number; readonly words: string } | undefined => {
  let found: { units: number; words: string } | undefined
  for (const wording of wordings) {
    const match = wording.exec(title)
    if (match === null) continue
    const units = Number(match[1])
    if (units < 2) continue
    if (found !== undefined && found.units !== units) return undefined
    found ??= { units, words: match[0] }
  }
  return found
}
