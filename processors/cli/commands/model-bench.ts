/** `entrepot model bench`: what a text encoder does in a second of this machine, by length of text and by batch budget. */
import { availableParallelism, cpus, loadavg } from 'node:os'
import { Tokenizer } from 'tokenizers'
import { openOnnxEmbedder } from '../../adapters/onnx/embedder.ts'
import type { Provider } from '../../adapters/onnx/messages.ts'
import { readPinned } from '../../adapters/onnx/pinned.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { seededRandom } from '../../adapters/system/random.ts'
import { Fault } from '../../domain/fault.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'
import { bytesText, openProgress, shortCount, tableText } from '../terminal.ts'
import { modelOfWord } from './model.ts'

const lengths = [8, 20, 64, 128] as const
const budgets_default = [256, 768, 2_048] as const
const seconds_default = 10
const words = (
  'steel kettle black wireless headphones battery garden bench wooden shoe waterproof cable charger drive disk screen ' +
  'camera lens tripod jacket winter summer cotton leather blue red green small large set pack professional home office kitchen'
).split(' ')

/** Texts of `tokens` tokens each, special tokens and prefix included, where the vocabulary has enough of the words as one piece. */
const openTexts = async (tokenizer: Tokenizer, prefix: string) => {
  const lengthOf = async (text: string): Promise<number> => (await tokenizer.encode(prefix + text)).getLength()
  const ends = await lengthOf('')
  const single: string[] = []
  for (const word of words) if ((await lengthOf(word)) === ends + 1) single.push(word)
  const from = single.length > 0 ? single : words
  return (tokens: number, count: number): readonly string[] => {
    const random = seededRandom(tokens)
    return Array.from({ length: count }, () =>
      Array.from({ length: Math.max(1, tokens - ends) }, () => from[Math.floor(random.next() * from.length)]!).join(' '),
    )
  }
}

type Cell = {
  readonly batch_tokens_max: number
  /** Asked for, and as the model's own tokenizer counts them. */
  readonly length: number
  readonly tokens_per_text: number
  readonly texts_per_s: number
  readonly tokens_per_s: number
  readonly texts_per_cpu_s: number
  readonly tokens_per_cpu_s: number
  readonly rounds: number
}

export const model_bench = command({
  name: 'model bench',
  summary: 'Measure a text encoder here: texts and tokens per second by length and batch budget',
  details:
    'The whole way is measured, tokenizer and queue included, on the workers and providers of the settings. Per CPU second counts the time of every thread of the process, so it says what a busy machine would do; the wall says what this one does now. The best of the rounds counts.',
  examples: [
    'entrepot model bench',
    'entrepot model bench all-MiniLM-L6-v2 --seconds 60 --budget 512 --budget 1024',
    'entrepot model bench --json',
  ],
  arguments: [{ name: 'model', doc: 'A name of `entrepot model ls`, or a folder; else the one in use.', optional: true }],
  flags: {
    seconds: { type: 'integer', value: 'N', min: 1, doc: `About how long to measure in all; else ${seconds_default}.` },
    budget: {
      type: 'texts',
      value: 'TOKENS',
      doc: `A batch budget, padding included; may be repeated; else ${budgets_default.join(', ')}.`,
    },
    workers: {
      type: 'integer',
      value: 'N',
      min: 1,
      doc: 'Worker threads; else 1, which is what per CPU second is best read of.',
    },
    ...data_flag,
  },
  run: async (context) => {
    const { flags, out, err, print, misuse } = context
    const budgets = flags.budget.length === 0 ? [...budgets_default] : flags.budget.map(Number)
    if (!budgets.every((budget) => Number.isInteger(budget) && budget >= 16 && budget <= 1_048_576))
      return misuse('--budget takes a whole number of tokens, from 16 to 1048576.')
    const settings = settingsWithData(context)
    const place = await modelOfWord(context.arguments.model, settings)
    const stopping = context.stopping()
    const workers = flags.workers ?? 1
    const seconds = flags.seconds ?? seconds_default

    // Not kept as a whole: the weights would count as resident beside those of the engine.
    const { card, digest, tokenizer: tokenizer_text } = await readPinned(place.folder, place.digest ?? undefined)
    const tokenizer = Tokenizer.fromString(tokenizer_text)
    tokenizer.setTruncation(card.tokens_max)
    const textsOf = await openTexts(tokenizer, card.prefix)
    const titles = textsOf(20, 512)
    const began = performance.now()
    let tokenized = 0
    let title_tokens = 0
    while (tokenized < 512 || (performance.now() - began < 500 && tokenized < 200_000)) {
      for (const encoding of await tokenizer.encodeBatch([...titles])) title_tokens += encoding.getLength()
      tokenized += titles.length
    }
    const tokenize_s = (performance.now() - began) / 1_000

    const run = lengths.filter((length) => length <= card.tokens_max)
    const cell_ms = (seconds * 1_000) / (run.length * budgets.length)
    const progress = openProgress(err, { label: card.name, unit: 'measures', total: run.length * budgets.length })
    const cells: Cell[] = []
    let load_ms = Number.POSITIVE_INFINITY
    let provider: string | null = null
    let rss_bytes = 0
    try {
      for (const batch_tokens_max of budgets) {
        if (stopping.aborted) break
        const from = performance.now()
        const embedder = await openOnnxEmbedder({
          model_folder: place.folder,
          digest,
          workers,
          batch_tokens_max,
          providers: settings.model.providers as readonly Provider[],
          clock: systemClock,
        })
        load_ms = Math.min(load_ms, performance.now() - from)
        try {
          for (const length of run) {
            if (stopping.aborted) break
            progress.note(`${length} tokens, budget ${batch_tokens_max}`)
            // A full batch for each worker.
            const texts = textsOf(length, Math.max(1, Math.floor((workers * batch_tokens_max) / length)))
            const round = async () => {
              const before = embedder.stats()
              const cpu = process.cpuUsage()
              const start = performance.now()
              const wrong = (await embedder.embed(texts)).find((result) => result instanceof Fault)
              if (wrong instanceof Fault) throw wrong
              const wall_s = (performance.now() - start) / 1_000
              const { user, system } = process.cpuUsage(cpu)
              return { wall_s, cpu_s: (user + system) / 1e6, tokens: embedder.stats().tokens - before.tokens }
            }
            const until = performance.now() + cell_ms
            // The first round warms the kernels for these shapes.
            const rounds = [await round()]
            do rounds.push(await round())
            while (!stopping.aborted && performance.now() < until)
            const measured = rounds.slice(1)
            const wall_s = Math.min(...measured.map((one) => one.wall_s))
            const cpu_s = Math.min(...measured.map((one) => one.cpu_s))
            const { tokens } = measured[0]!
            cells.push({
              batch_tokens_max,
              length,
              tokens_per_text: tokens / texts.length,
              texts_per_s: texts.length / wall_s,
              tokens_per_s: tokens / wall_s,
              texts_per_cpu_s: texts.length / cpu_s,
              tokens_per_cpu_s: tokens / cpu_s,
              rounds: measured.length,
            })
            progress.advance(1)
          }
          provider = embedder.stats().provider
          rss_bytes = Math.max(rss_bytes, process.memoryUsage.rss())
        } finally {
          await embedder.close()
        }
      }
    } finally {
      progress.end()
    }
    const report = {
      model: { name: card.name, digest, dims: card.dims, precision: card.precision },
      machine: {
        processor: cpus()[0]?.model ?? 'unknown',
        cores: availableParallelism(),
        load_average: loadavg()[0]!,
        node: process.version,
      },
      provider,
      workers,
      load_ms,
      rss_bytes,
      tokenizer: { texts_per_s: tokenized / tokenize_s, tokens_per_s: title_tokens / tokenize_s },
      cells,
      complete: !stopping.aborted,
    }
    print(report, () =>
      [
        `${out.paint('bold', card.name)} ${out.paint('dim', digest.slice(0, 12))}, ${card.dims} dimensions${card.precision === null ? '' : `, ${card.precision}`}; ${provider ?? 'no provider'}, ${workers} worker${workers === 1 ? '' : 's'}`,
        out.paint(
          'dim',
          `${report.machine.processor}, ${report.machine.cores} cores, load average ${report.machine.load_average.toFixed(1)}, Node ${report.machine.node}`,
        ),
        '',
        tableText(
          out,
          [
            { title: 'tokens a text', align: 'right' },
            { title: 'budget', align: 'right' },
            { title: 'texts/s', align: 'right' },
            { title: 'tokens/s', align: 'right' },
            { title: 'texts/CPU s', align: 'right', style: 'bold' },
            { title: 'tokens/CPU s', align: 'right' },
          ],
          [...cells]
            .sort((a, b) => a.length - b.length || a.batch_tokens_max - b.batch_tokens_max)
            .map((cell) => [
              cell.tokens_per_text.toFixed(0),
              cell.batch_tokens_max,
              shortCount(cell.texts_per_s),
              shortCount(cell.tokens_per_s),
              shortCount(cell.texts_per_cpu_s),
              shortCount(cell.tokens_per_cpu_s),
            ]),
        ),
        '',
        `Loaded in ${(load_ms / 1_000).toFixed(1)} s (verified and tried); ${bytesText(rss_bytes)} resident; the tokenizer alone does ${shortCount(report.tokenizer.texts_per_s)} titles/s.`,
        ...(report.complete ? [] : ['Stopped before the end.']),
      ].join('\n'),
    )
    return exit_codes.ok
  },
})
