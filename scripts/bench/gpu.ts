/** Measures the text encoder on a device by the size of a call: texts and tokens per second, latency, share of the device's peak. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { openOnnxEmbedder } from '../../processors/adapters/onnx/embedder.ts'
import { providers as known_providers, type Provider } from '../../processors/adapters/onnx/messages.ts'
import { readCard, shipped_model } from '../../processors/adapters/onnx/pinned.ts'
import { systemClock } from '../../processors/adapters/system/clock.ts'
import { seededRandom } from '../../processors/adapters/system/random.ts'
import { Fault } from '../../processors/domain/fault.ts'
import { argumentsOf } from '../arguments.ts'
import { about, load, table } from './about.ts'
import { devicesOf, flopPerToken, median, numbersOf, peakOf, shapeOf } from './gpu-figures.ts'

const help = `Measures the text encoder on a GPU against the size of a call, on real titles of four shops.

  node scripts/bench/gpu.ts [flags]

  --model FOLDER        a model folder whose graph is fp16 (default: the one that ships, int8, which no GPU is good at)
  --providers LIST      tried one by one, none falls back (default: cuda,tensorrt,webgpu); cpu measures the same on this processor
  --device N            number of the device (default: 0)
  --workers LIST        threads, one session each (default: 1,2)
  --sizes LIST          texts of a call (default: 1,4,16,64,256,1024,4096)
  --tokens-max N        tokens of one inference call (default: 262144)
  --seconds N           for each row (default: 2)
  --peak-tflops N       dense fp16 peak of the device (default: by its name)
  --texts FILE          one text a line, in place of the titles in ../shared/data

Without a device it says so in one line and ends with 0.
`
const { values: args } = argumentsOf(help, {
  options: {
    model: { type: 'string' },
    providers: { type: 'string', default: 'cuda,tensorrt,webgpu' },
    device: { type: 'string', default: '0' },
    workers: { type: 'string', default: '1,2' },
    sizes: { type: 'string', default: '1,4,16,64,256,1024,4096' },
    'tokens-max': { type: 'string', default: '262144' },
    seconds: { type: 'string', default: '2' },
    'peak-tflops': { type: 'string' },
    texts: { type: 'string' },
  },
})

const say = (line = ''): void => void process.stdout.write(`${line}\n`)
const wrong = (line: string): never => {
  process.stderr.write(`${line} See --help.\n`)
  process.exit(2)
}
const sizes = numbersOf(args.sizes, 1_000_000) ?? wrong(`--sizes takes whole numbers, not ${args.sizes}.`)
const workers = numbersOf(args.workers, 64) ?? wrong(`--workers takes whole numbers up to 64, not ${args.workers}.`)
const [tokens_max] = numbersOf(args['tokens-max'], 16_777_216) ?? wrong('--tokens-max takes a whole number.')
const seconds = Number(args.seconds)
if (!(seconds > 0 && seconds <= 600)) wrong('--seconds takes a number up to 600.')
const device = Number(args.device)
const peak_given = args['peak-tflops'] === undefined ? null : Number(args['peak-tflops'])
if (peak_given !== null && !(peak_given > 0)) wrong('--peak-tflops takes a number.')
const wanted = args.providers.split(',').map((name) => name.trim())
for (const name of wanted)
  if (!(known_providers as readonly string[]).includes(name))
    wrong(`--providers takes ${known_providers.join(', ')}, not ${name}.`)

/** The devices that NVIDIA's driver names; none where there is no driver. */
const nvidiaDevices = () => {
  try {
    const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader']
    return devicesOf(execFileSync('nvidia-smi', query, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    // Absent, or without a driver: both mean that there is none.
    return []
  }
}
const devices = nvidiaDevices()
const here = devices[device]

const titlesOf = (): readonly string[] | null => {
  if (args.texts !== undefined)
    return readFileSync(args.texts, 'utf8')
      .split('\n')
      .filter((text) => text.trim() !== '')
  const shops = fileURLToPath(new URL('../../../shared/data/lspc-computers-4shops/', import.meta.url))
  if (!existsSync(shops)) return null
  const random = seededRandom(1)
  return (
    ['harddrivesdirect', 'sillworks', 'tweakers', 'usapartsdirect']
      .flatMap((shop) =>
        gunzipSync(readFileSync(join(shops, `${shop}.csv.gz`)))
          .toString('utf8')
          .split('\n')
          .slice(1),
      )
      // id, cluster, title: quoted when it holds a comma.
      .map((line) => /^\d+,\d+,(?:"((?:[^"]|"")*)"|([^,]*)),/u.exec(line))
      .map((found) => (found?.[1] ?? found?.[2] ?? '').trim())
      .filter((title) => title !== '')
      .map((title) => ({ title, at: random.next() }))
      .sort((a, b) => a.at - b.at)
      .map(({ title }) => title)
  )
}
const titles = titlesOf()
if (titles === null || titles.length === 0) {
  say(
    'Not measured: ../shared/data/lspc-computers-4shops is absent and no --texts is given; made-up titles would measure nothing.',
  )
  process.exit(0)
}

const folder = args.model ?? shipped_model.folder
const card = await readCard(folder)
const shape = shapeOf(JSON.parse(readFileSync(join(folder, card.files.config.name), 'utf8')))
const peak_tflops = peak_given ?? (here === undefined ? null : peakOf(here.name))

type Row = { readonly workers: number; readonly size: number; readonly cells: readonly string[] }
const load_before = load()
const measured: { readonly provider: string; readonly rows: readonly Row[] }[] = []
const refused: { readonly provider: string; readonly why: string }[] = []
for (const provider of wanted as readonly Provider[]) {
  const rows: Row[] = []
  try {
    for (const threads of workers) {
      const embedder = await openOnnxEmbedder({
        model_folder: folder,
        providers: [provider],
        device,
        workers: threads,
        ...(provider === 'cpu' ? {} : { batch_tokens_max: tokens_max! }),
        clock: systemClock,
      })
      try {
        let at = 0
        const next = (size: number): readonly string[] =>
          Array.from({ length: size }, (_, i) => titles[(at + i) % titles.length]!)
        for (const size of sizes) {
          // Two calls in flight, as from two partitions, so that no thread waits for the caller; latency is that of one alone.
          const call = async (): Promise<number> => {
            const texts = next(size)
            at += size
            const began = performance.now()
            for (const result of await embedder.embed(texts)) if (result instanceof Fault) throw result
            return performance.now() - began
          }
          await call()
          const alone_ms: number[] = []
          const alone_until = performance.now() + 250 * seconds
          do alone_ms.push(await call())
          while (performance.now() < alone_until)
          const before = embedder.stats()
          const began = performance.now()
          const until = began + 750 * seconds
          await Promise.all(
            Array.from({ length: 2 * threads }, async () => {
              do await call()
              while (performance.now() < until)
            }),
          )
          const wall_s = (performance.now() - began) / 1_000
          const after = embedder.stats()
          const texts = after.texts - before.texts
          const tokens = after.tokens - before.tokens
          const engine_s = (after.engine_ms - before.engine_ms) / 1_000
          const tflops = shape === null ? null : (tokens * flopPerToken(shape, tokens / texts)) / wall_s / 1e12
          rows.push({
            workers: threads,
            size,
            cells: [
              (texts / wall_s).toFixed(0),
              (tokens / wall_s).toFixed(0),
              median(alone_ms).toFixed(2),
              ((after.cells - before.cells) / tokens).toFixed(2),
              (tokens / Math.max(1, after.batches - before.batches)).toFixed(0),
              `${((100 * engine_s) / (wall_s * threads)).toFixed(0)} %`,
              tflops === null ? '-' : tflops.toFixed(2),
              tflops === null || peak_tflops === null ? '-' : `${((100 * tflops) / peak_tflops).toFixed(1)} %`,
            ],
          })
        }
      } finally {
        await embedder.close()
      }
    }
    measured.push({ provider, rows })
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    if (rows.length > 0) measured.push({ provider, rows })
    refused.push({ provider, why: error.message })
  }
}

if (measured.length === 0) {
  say(
    `Not measured: there is no GPU here that ONNX Runtime can use${here === undefined ? ' (and no NVIDIA driver)' : `, although ${here.name} is`}. ${refused.map(({ why }) => why).join(' ')}`,
  )
  process.exit(0)
}
for (const line of about(load_before)) say(line)
say(
  `- device: ${here === undefined ? 'no NVIDIA device' : `${here.name}, ${here.memory}, driver ${here.driver}`}; peak ${peak_tflops === null ? 'not known' : `${peak_tflops} TFLOP/s dense fp16`}`,
)
say(`- model: ${card.name}, ${card.precision ?? 'precision not said'}; ${titles.length} real titles, drawn in order`)
for (const { provider, rows } of measured) {
  say()
  say(`## ${provider}`)
  say()
  for (const line of table(
    [
      ...['threads', 'texts a call', 'texts/s', 'tokens/s', 'a call alone, median ms', 'cells per token'],
      ...['tokens an inference', 'time in the engine', 'TFLOP/s', 'of peak'],
    ],
    rows.map(({ workers: threads, size, cells }) => [String(threads), String(size), ...cells]),
  ))
    say(line)
}
for (const { provider, why } of refused) say(`\n${provider} was not measured: ${why}`)
