/** A planted bug: one place of the sources, broken on purpose, that the storms must notice. */

/**
 * The patch is applied to the source text while a child process loads it; nothing in the sources knows of it, so that no switch,
 * setting or environment of a production process can reach it.
 */
export type Mutation = {
  /** Kebab-case; names the row of the printed table. */
  readonly name: string
  /** The rule that is broken, and what should come of it. */
  readonly breaks: string
  /** Path below processors/. */
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
}
