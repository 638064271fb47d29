/** Matching by words and by letters: what an encoder has to be better than. Fitted on the corpus and the queries of one set. */

/** Scores of every document for one query, in the order of the documents; higher is nearer. */
export type Scores = Float64Array
export type Matcher = (query: string) => Scores

const unspaced =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Khmer}\p{Script=Lao}\p{Script=Myanmar}]/u
const segmenter = new Intl.Segmenter('zh', { granularity: 'word' })

/** Lower-case words and numbers; where a script puts no spaces between words, ICU's dictionary finds them. */
export const wordsOf = (text: string): readonly string[] => {
  const folded = text.normalize('NFKC').toLowerCase()
  const words = folded.match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  return words.flatMap((word) => (unspaced.test(word) ? [...segmenter.segment(word)].map(({ segment }) => segment) : [word]))
}

/** Every run of 3 to 5 letters inside the words, each word set between blanks, as `char_wb` of scikit-learn takes them. */
export const gramsOf = (text: string): readonly string[] => {
  const grams: string[] = []
  for (const word of text.normalize('NFKC').toLowerCase().split(/\s+/u)) {
    if (word === '') continue
    const letters = [' ', ...word, ' ']
    for (let n = 3; n <= 5; n++) {
      for (let at = 0; at + n <= letters.length; at++) grams.push(letters.slice(at, at + n).join(''))
      if (letters.length <= n) {
        if (letters.length < n) grams.push(letters.join(''))
        break
      }
    }
  }
  return grams
}

const counted = (terms: readonly string[]): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const term of terms) counts.set(term, (counts.get(term) ?? 0) + 1)
  return counts
}

type Posting = { readonly documents: number[]; readonly weights: number[] }

const postingsOf = (documents: readonly ReadonlyMap<string, number>[]): ReadonlyMap<string, Posting> => {
  const postings = new Map<string, Posting>()
  for (const [document, terms] of documents.entries())
    for (const [term, weight] of terms) {
      const posting = postings.get(term)
      if (posting === undefined) postings.set(term, { documents: [document], weights: [weight] })
      else {
        posting.documents.push(document)
        posting.weights.push(weight)
      }
    }
  return postings
}

const scored = (
  postings: ReadonlyMap<string, Posting>,
  documents: number,
  query: Iterable<readonly [string, number]>,
): Scores => {
  const scores = new Float64Array(documents)
  for (const [term, weight] of query) {
    const posting = postings.get(term)
    if (posting === undefined) continue
    for (const [i, document] of posting.documents.entries()) scores[document]! += weight * posting.weights[i]!
  }
  return scores
}

/** Okapi BM25 with the usual k1 = 1.2 and b = 0.75 (Robertson and Zaragoza, 2009); document frequencies of the corpus alone. */
export const bm25 = (corpus: readonly string[], termsOf: (text: string) => readonly string[] = wordsOf): Matcher => {
  const k1 = 1.2
  const b = 0.75
  const documents = corpus.map((text) => counted(termsOf(text)))
  const lengths = documents.map((terms) => [...terms.values()].reduce((sum, count) => sum + count, 0))
  const mean_length = lengths.reduce((sum, length) => sum + length, 0) / Math.max(1, lengths.length)
  const seen = new Map<string, number>()
  for (const terms of documents) for (const term of terms.keys()) seen.set(term, (seen.get(term) ?? 0) + 1)
  const rarity = (term: string): number => {
    const n = seen.get(term)!
    return Math.log(1 + (documents.length - n + 0.5) / (n + 0.5))
  }
  const postings = postingsOf(
    documents.map(
      (terms, i) =>
        new Map(
          [...terms].map(([term, count]) => [
            term,
            (rarity(term) * count * (k1 + 1)) / (count + k1 * (1 - b + (b * lengths[i]!) / mean_length)),
          ]),
        ),
    ),
  )
  return (query) => scored(postings, documents.length, counted(termsOf(query)))
}

/** Cosine of TF-IDF vectors with smoothed document frequencies over corpus and queries, as scikit-learn computes it by default. */
export const tfidf = (
  corpus: readonly string[],
  queries: readonly string[],
  termsOf: (text: string) => readonly string[] = wordsOf,
): Matcher => {
  const seen = new Map<string, number>()
  for (const text of [...corpus, ...queries]) for (const term of new Set(termsOf(text))) seen.set(term, (seen.get(term) ?? 0) + 1)
  const total = corpus.length + queries.length
  const vectorOf = (text: string): ReadonlyMap<string, number> => {
    const weights = [...counted(termsOf(text))].map(
      ([term, count]) => [term, count * (1 + Math.log((1 + total) / (1 + (seen.get(term) ?? 0))))] as const,
    )
    const length = Math.sqrt(weights.reduce((sum, [, weight]) => sum + weight * weight, 0))
    return new Map(weights.map(([term, weight]) => [term, length === 0 ? 0 : weight / length]))
  }
  const postings = postingsOf(corpus.map(vectorOf))
  return (query) => scored(postings, corpus.length, vectorOf(query))
}
