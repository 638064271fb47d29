/** Measures what encoders find: R@1 and R@10 on real tables and on pairs of our own, beside and together with matching by words. */
import { shipped_model } from '../../processors/adapters/onnx/pinned.ts'
import { dot, type Vector } from '../../processors/domain/vector.ts'
import { argumentsOf } from '../arguments.ts'
import { productPairs } from '../model/pairs/pairs.ts'
import { about, load, table } from './about.ts'
import { type MeasuredEncoder, openMeasured } from './retrieval/encoder.ts'
import { bm25, gramsOf, type Matcher, type Scores, tfidf } from './retrieval/lexical.ts'
import { fusedByRank, fusedByScore, halfInterval, hitAt, mean, ratioInterval } from './retrieval/ranking.ts'
import { type Recipe, recipes, title_alone } from './retrieval/recipes.ts'
import { isShared, languageSets, type RetrievalSet, readSet, sampled, set_names, sharedIsHere } from './retrieval/sets.ts'
import { uniform } from './shop.ts'

const { values: args } = argumentsOf(
  `node scripts/bench/retrieval.ts [options]
  --models NAME=FOLDER,...  encoders to measure; a folder has model.json, or is one of ../shared/models  (the one that ships)
  --sets NAME,...           of ${set_names.join(', ')}  (all)
  --recipes ID,...          which parts of a listing should be embedded, with each model: all, or of
                            ${recipes.map(({ id }) => id).join(', ')}
  --against NAME=FOLDER     what each model keeps of this one's figures, and its cosine to it by language
  --queries-max N           a part of each set, for a slow machine; figures of parts compare only with those of the same N  (all)
  --workers N               threads of the encoder  (1)
Prints Markdown. Vectors are kept in .cache/bench/retrieval by model and text, so that a second run is quick.
`,
  {
    options: {
      models: {
        type: 'string',
        default: `${shipped_model.folder.match(/([^/\\]+)[/\\]?$/u)?.[1] ?? 'shipped'}=${shipped_model.folder}`,
      },
      sets: { type: 'string', default: set_names.join(',') },
      recipes: { type: 'string' },
      against: { type: 'string' },
      'queries-max': { type: 'string' },
      workers: { type: 'string', default: '1' },
    },
  },
)

const say = (...lines: readonly string[]): void => void process.stdout.write(`${lines.join('\n')}\n`)
const refuse = (message: string): never => {
  process.stderr.write(`${message} See --help.\n`)
  process.exit(2)
}
const load_before = load()
const open = (given: string): Promise<MeasuredEncoder> => {
  const [, name, folder] = given.match(/^([^=]+)=(.+)$/u) ?? refuse(`\`${given}\` is not NAME=FOLDER.`)
  return openMeasured(name!, folder!, Number(args.workers))
}
const models = await Promise.all(args.models.split(',').map(open))
const against = args.against === undefined ? null : await open(args.against)

const wanted = args.sets
  .split(',')
  .map((name) => set_names.find((known) => known === name) ?? refuse(`There is no set \`${name}\`.`))
const skipped = sharedIsHere() ? [] : wanted.filter(isShared)
if (skipped.length > 0) say(`Left out, because ../shared/data is not beside the repository: ${skipped.join(', ')}.`, '')
const tried: readonly Recipe[] =
  args.recipes === 'all'
    ? recipes
    : (args.recipes?.split(',') ?? []).map(
        (id) => recipes.find((recipe) => recipe.id === id) ?? refuse(`There is no recipe \`${id}\`.`),
      )
const queries_max = args['queries-max'] === undefined ? Number.POSITIVE_INFINITY : Number(args['queries-max'])
if (!(queries_max >= 1)) refuse('--queries-max takes a number from 1.')
const sets = (await Promise.all(wanted.filter((name) => !skipped.includes(name)).map(readSet))).map((set) =>
  sampled(set, queries_max),
)

const ks = [1, 10] as const
type Hits = { readonly [k in (typeof ks)[number]]: readonly number[] }

const hitsOf = (set: RetrievalSet, scores: readonly Scores[]): Hits => {
  const at = (k: number): readonly number[] => scores.map((row, i) => hitAt(row, set.matches[i]!, k, set.self[i]!))
  return { 1: at(1), 10: at(10) }
}
const figure = (value: number): string => value.toFixed(3).replace(/^0/u, '')
const cell = (hits: Hits): string => ks.map((k) => figure(mean(hits[k]))).join(' / ')

const dense = async (encoder: MeasuredEncoder, set: RetrievalSet, recipe: Recipe): Promise<readonly Scores[]> => {
  const vectors = await encoder.embed([...set.queries, ...set.corpus].map(recipe.textOf), `${set.name}, ${recipe.name}`)
  const corpus = vectors.slice(set.queries.length)
  return vectors.slice(0, set.queries.length).map((query) => Float64Array.from(corpus, (document) => dot(query, document)))
}

/** Figures of every way of scoring on one set, titles alone; and the hits of each encoder. */
const ways = async (set: RetrievalSet): Promise<ReadonlyMap<string, Hits>> => {
  const queries = set.queries.map(title_alone.textOf)
  const corpus = set.corpus.map(title_alone.textOf)
  const matchers: readonly (readonly [string, Matcher])[] = [
    ['BM25, words', bm25(corpus)],
    ['TF-IDF, words', tfidf(corpus, queries)],
    ['TF-IDF, runs of 3 to 5 letters', tfidf(corpus, queries, gramsOf)],
  ]
  const lexical = matchers.map(([name, score]) => [name, queries.map(score)] as const)
  const found = new Map<string, Hits>(lexical.map(([name, scores]) => [name, hitsOf(set, scores)]))
  for (const encoder of models) {
    const scores = await dense(encoder, set, title_alone)
    found.set(`**${encoder.name}**`, hitsOf(set, scores))
    for (const [name, others] of lexical.filter((_, i) => i !== 1)) {
      found.set(
        `${encoder.name} + ${name}, by rank`,
        hitsOf(
          set,
          scores.map((row, i) => fusedByRank(row, others[i]!)),
        ),
      )
      found.set(
        `${encoder.name} + ${name}, by score`,
        hitsOf(
          set,
          scores.map((row, i) => fusedByScore(row, others[i]!)),
        ),
      )
    }
  }
  return found
}

say(...about(load_before).slice(0, 3), '')
say(...models.map(({ name, digest }) => `- ${name}: encoder digest ${digest.slice(0, 16)}`))
if (against !== null) say(`- ${against.name}: encoder digest ${against.digest.slice(0, 16)}`)
say(
  '',
  '## Titles alone',
  '',
  'R@1 / R@10: the share of queries with a true match first, among the first ten; ties count by chance.',
  '',
)
const results: ReadonlyMap<string, Hits>[] = []
for (const set of sets) results.push(await ways(set))
const size = (set: RetrievalSet): string => `${set.name} (${set.queries.length} in ${set.corpus.length})`
if (sets.length > 0)
  say(
    ...table(
      ['', ...sets.map(size)],
      [
        ...[...results[0]!.keys()].map((way) => [way, ...results.map((found) => cell(found.get(way)!))]),
        [
          '95 % interval of a figure of .8 / .97',
          ...sets.map(({ queries: { length } }) => [0.8, 0.97].map((p) => `±${figure(halfInterval(p, length))}`).join(' / ')),
        ],
      ],
    ),
    '',
  )

if (tried.length > 0) {
  say('## What of a listing is embedded', '', 'R@1 / R@10, both sides by the same recipe.', '')
  const rich = sets.filter(({ corpus }) => corpus.some(({ description }) => description !== ''))
  const lines: string[][] = []
  for (const encoder of models)
    for (const recipe of tried) {
      const cells: string[] = []
      for (const set of rich) cells.push(cell(hitsOf(set, await dense(encoder, set, recipe))))
      lines.push([encoder.name, recipe.name, ...cells])
    }
  if (rich.length > 0) say(...table(['', 'embedded', ...rich.map(size)], lines), '')
  else say('None of the sets has descriptions.', '')
}

const languages = languageSets()
const across = async (encoder: MeasuredEncoder) => {
  const figures = new Map<string, { readonly to: Hits; readonly from: Hits }>()
  for (const { language, from, to } of languages) {
    if (language === 'en') continue
    const scores = await dense(encoder, from, title_alone)
    const back = await dense(encoder, to, title_alone)
    figures.set(language, { to: hitsOf(from, scores), from: hitsOf(to, back) })
  }
  return figures
}
const by_model: (readonly [MeasuredEncoder, Awaited<ReturnType<typeof across>>])[] = []
for (const encoder of [...models, ...(against === null ? [] : [against])]) by_model.push([encoder, await across(encoder)])
const products = languages[0]!.from.queries.length
say('## Across languages', '', `R@1 from English to the language / back, ${products} products of our own a language.`, '')
say(
  ...table(
    ['', ...by_model.map(([{ name }]) => name)],
    [
      ...languages
        .filter(({ language }) => language !== 'en')
        .map(({ language }) => [
          language,
          ...by_model.map(([, figures]) => {
            const { to, from } = figures.get(language)!
            return [to, from].map((hits) => figure(mean(hits[1]))).join(' / ')
          }),
        ]),
      [
        '**all**',
        ...by_model.map(([, figures]) =>
          (['to', 'from'] as const).map((way) => figure(mean([...figures.values()].flatMap((hits) => hits[way][1])))).join(' / '),
        ),
      ],
    ],
  ),
  '',
)

if (against !== null) {
  const next = uniform(5)
  const percent = (ratio: number): string => `${(100 * ratio).toFixed(1)} %`
  for (const encoder of models) {
    say(
      `## What ${encoder.name} keeps of ${against.name}`,
      '',
      'In brackets the 95 % interval, queries drawn again in pairs.',
      '',
    )
    const kept = (of: readonly number[], to: readonly number[]): string => {
      const { low, high } = ratioInterval(of, to, next)
      return `${percent(mean(of) / mean(to))} (${percent(low)} to ${percent(high)})`
    }
    const lines: string[][] = []
    for (const [i, set] of sets.entries()) {
      const here = results[i]!.get(`**${encoder.name}**`)!
      const there = hitsOf(set, await dense(against, set, title_alone))
      lines.push([set.name, cell(here), cell(there), ...ks.map((k) => kept(here[k], there[k]))])
    }
    const [here, there] = [encoder, against].map((one) => by_model.find(([name]) => name === one)![1])
    const all = (figures: Awaited<ReturnType<typeof across>>, k: 1 | 10) =>
      [...figures.values()].flatMap(({ to, from }) => [...to[k], ...from[k]])
    const both = (figures: Awaited<ReturnType<typeof across>>): Hits => ({ 1: all(figures, 1), 10: all(figures, 10) })
    lines.push([
      'languages, both ways',
      cell(both(here!)),
      cell(both(there!)),
      ...ks.map((k) => kept(all(here!, k), all(there!, k))),
    ])
    say(...table(['', encoder.name, against.name, 'R@1 kept', 'R@10 kept'], lines), '')

    const cosines = (a: readonly Vector[], b: readonly Vector[]): readonly number[] => a.map((vector, i) => dot(vector, b[i]!))
    const groups: (readonly [string, readonly string[]])[] = languages.map(({ language, from }) => {
      const titles = from.corpus.map(({ title }) => title)
      const more = language === 'zh' || language === 'en' ? productPairs().map((pair) => pair[language]) : []
      return [language, [...titles, ...more]]
    })
    for (const set of sets)
      if (!set.name.includes('zh')) groups.push([set.name, [...new Set([...set.queries, ...set.corpus].map(title_alone.textOf))]])
    const rows: string[][] = []
    for (const [group, texts] of groups) {
      const cosine = cosines(await encoder.embed(texts, group), await against.embed(texts, group))
      const [own, full] = [await encoder.tokens(texts), await against.tokens(texts)]
      rows.push([
        group,
        String(texts.length),
        mean(cosine).toFixed(4),
        Math.min(...cosine).toFixed(4),
        (own.tokens / texts.length).toFixed(1),
        (full.tokens / texts.length).toFixed(1),
        percent(own.tokens / full.tokens - 1),
        `${own.unknown} / ${full.unknown}`,
      ])
    }
    say(
      ...table(
        ['texts', 'n', 'cosine, mean', 'least', `tokens a text, ${encoder.name}`, against.name, 'more tokens', 'unknown tokens'],
        rows,
      ),
      '',
    )
  }
}
for (const encoder of models) await encoder.close()
await against?.close()
say(about(load_before)[3]!)
