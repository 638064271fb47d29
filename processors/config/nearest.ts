/** The nearest word of a list, for "did you mean": one place for settings, commands, flags and map fields. */

/** Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`; optimal string alignment distance. */
export const editDistance = (a: string, b: string): number => {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let best = Math.min(last[j]! + 1, row[j - 1]! + 1, replaced)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, before[j - 2]! + 1)
      row.push(best)
    }
    before = last
    last = row
  }
  return last[b.length]!
}

/**
 * The word closest to `word`, or undefined when none is close enough to be what was meant (more than a third of the longer
 * word differs). A word that contains the other as a whole counts as close. Case does not matter; ties go to the earlier word.
 */
export const nearest = (word: string, words: Iterable<string>): string | undefined => {
  const sought = word.slice(0, 128).toLowerCase()
  let best: { readonly word: string; readonly distance: number } | undefined
  for (const candidate of words) {
    const known = candidate.toLowerCase()
    const within = sought.length >= 3 && (known.includes(sought) || (known.length >= 3 && sought.includes(known)))
    const distance = editDistance(sought, known) / (within ? 2 : 1)
    const far = Math.max(2, Math.max(sought.length, known.length) / 3)
    if ((within || distance <= far) && (best === undefined || distance < best.distance)) best = { word: candidate, distance }
  }
  return best?.word
}
