/** The Embedder port on onnxruntime-node: a pool of threads with one session each, because a session blocks the thread it runs on. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Fault } from '../../domain/fault.ts'
import type { Vector } from '../../domain/vector.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Embedder } from '../../ports/embedder.ts'
import {
  type FellBack,
  type FromThread,
  outcomes,
  type Provider,
  type ThreadSettings,
  type ToThread,
  type Work,
} from './messages.ts'
import { readPinned, shipped_model } from './pinned.ts'
import { environmentOf, type Feeding, feedingOf, threadsOf } from './providers.ts'
import { release } from './release.ts'
import { packTexts } from './texts.ts'
import { cutChunks, openTurns, type Task, tokensGuess } from './turns.ts'

export type OnnxEmbedderOptions = {
  /** Folder with model.json, weights, tokenizer and config; null or absent: the model that ships with Entrepot. */
  readonly model_folder?: string | null
  /** The encoder's digest when the folder is not trusted to pin itself; the shipped model always has its own. */
  readonly digest?: string | null
  /** Threads, one session each; null or absent: one per core, less one for everything else, or two for a device. */
  readonly workers?: number | null
  /** Threads inside a session. More sessions scale better than more threads in one. */
  readonly intra_op_threads?: number
  /** Tokens of one inference call, padding included; null or absent: 768 on a CPU, 65,536 on a device. */
  readonly batch_tokens_max?: number | null
  /** Texts are padded to a multiple of so many tokens; null or absent: 4 on a CPU, 8 on a device. Greater: fuller batches, more padding. */
  readonly length_bucket?: number | null
  /**
   * Longest wait of a text for company while a thread idles and another computes. Where all idle nothing is waited for; where all
   * compute, texts are gathered until one has room.
   */
  readonly batch_wait_ms?: number
  /** In order of preference; what cannot be opened is skipped and named in stats. */
  readonly providers?: readonly Provider[]
  /** Number of the device, where a provider has several. */
  readonly device?: number
  /** Where TensorRT keeps the engines it builds, which takes minutes; null or absent: they are built at each start. */
  readonly tensorrt_cache_folder?: string | null
  /** Whether TensorRT may compute a float32 graph in float16. */
  readonly tensorrt_fp16?: boolean
  /** Texts held at once; a call that would go beyond it waits for room, first come, first served. Null or absent: by provider. */
  readonly queue_texts_max?: number | null
  /** A thread that is silent for so long on what it holds is replaced. */
  readonly deadline_ms?: number
  readonly clock: Clock
  /** Told what happens, for metrics and the log. Must not throw. */
  readonly observe?: (event: EmbedderEvent) => void
  /** Starts a thread; tests pass their own to hold on to it. */
  readonly spawn?: (settings: ThreadSettings) => Worker
}

export type EmbedderEvent =
  /** Once, before the first text. */
  | { readonly event: 'opened'; readonly provider: Provider; readonly wanted: Provider; readonly fell_back: readonly FellBack[] }
  | { readonly event: 'threads'; readonly threads: number }
  /** A thread died, or was replaced because it was silent. */
  | { readonly event: 'crashed'; readonly why: string }
  /** A thread has done a chunk; counts of that chunk. */
  | { readonly event: 'worked'; readonly work: Done }
  /** Texts that are held, waiting or being computed. */
  | { readonly event: 'queued'; readonly texts: number }

export type Done = Work & { readonly texts: number; readonly empty: number; readonly degenerate: number }

/** Since the start, except `threads` and `queued`. */
export type EmbedderStats = Done & {
  readonly threads: number
  /** Texts of all calls that are not answered. */
  readonly queued: number
  readonly provider: Provider | null
  readonly fell_back: readonly FellBack[]
  /** Threads that died or were replaced. */
  readonly crashes: number
}

type Call = {
  readonly texts: readonly string[]
  readonly urgent: boolean
  readonly results: (Vector | Fault)[]
  left: number
  settled: boolean
  readonly resolve: (results: readonly (Vector | Fault)[]) => void
  readonly reject: (fault: Fault) => void
}
/** What a thread gets at once: texts of similar length, a few inference batches long. */
type Chunk = { readonly id: number; readonly tasks: readonly Task<Call>[]; readonly urgent: boolean; deaths: number }
type Slot = {
  thread: Worker | null
  state: 'starting' | 'ready' | 'gone'
  /** What the thread has: it works on the first, or on the first urgent one. */
  flight: Chunk[]
  watch: AbortController | null
  /** Starts in a row after which no chunk was finished. */
  failures: number
  last_error: string
  refusal: Fault | null
}

/** Inference batches a thread gets at once: enough to sort by length, few enough that nobody waits long behind them. */
const chunk_batches = 4
/** Chunks a thread may hold: it finds the next one at hand when it has done one. */
const chunks_ahead = 2
/** Calls that may wait for room; a stage asks once per partition, so beyond it something has gone wrong. */
const waiting_calls_max = 4_096
const restart_ms_max = 10_000
const close_ms_max = 5_000

const worker_file = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url))
/** Starts a thread that loads the encoder of its settings. */
export const spawnThread = (settings: ThreadSettings): Worker =>
  new Worker(worker_file, {
    workerData: settings,
    execArgv: [],
    name: 'embedder',
  })

const unavailable = (what: string, cause?: unknown): Fault => new Fault('embedder.unavailable', what, {}, cause)

/**
 * Opens the encoder and its threads, and returns once each thread has verified, loaded and tried the model: the first one alone, which
 * shows whether it can be had and on which provider, then the others together.
 *
 * The vectors of an answer are views of one buffer that a thread handed over, up to a few hundred texts each and shared by the calls
 * whose texts were computed together: nobody else writes to it. Who keeps a vector for long copies it, or keeps the buffer with it.
 * A call waits while as many texts are held as may be; it is refused (embedder.unavailable) only when no thread lives or it is closed.
 * Faults: model.missing, model.sha256, model.shape, model.check, config.invalid; each message holds the command or the value that helps.
 */
export const openOnnxEmbedder = async (options: OnnxEmbedderOptions): Promise<Embedder & { stats(): EmbedderStats }> => {
  const {
    model_folder = null,
    digest = null,
    workers = null,
    intra_op_threads = 1,
    batch_tokens_max = null,
    length_bucket = null,
    batch_wait_ms = 2,
    providers = ['cpu'],
    device = 0,
    tensorrt_cache_folder = null,
    tensorrt_fp16 = false,
    queue_texts_max = null,
    deadline_ms = 60_000,
    clock,
    observe = () => undefined,
    spawn = spawnThread,
  } = options
  const whole = (field: string, value: number | null, min: number): void => {
    if (value !== null && (!Number.isInteger(value) || value < min))
      throw new Fault('config.invalid', `The embedder's ${field} takes an integer from ${min}; it is ${value}.`, { field })
  }
  whole('workers', workers, 1)
  whole('intra_op_threads', intra_op_threads, 1)
  whole('batch_tokens_max', batch_tokens_max, 1)
  whole('length_bucket', length_bucket, 1)
  whole('batch_wait_ms', batch_wait_ms, 0)
  whole('device', device, 0)
  whole('queue_texts_max', queue_texts_max, 1)
  const wanted = providers[0]
  if (wanted === undefined) throw new Fault('config.invalid', 'The embedder needs a provider: `cpu` works everywhere.')

  const folder = model_folder ?? shipped_model.folder
  // Verified here first, so that a wrong model is refused before any thread exists; each thread verifies what it loads again.
  const {
    card,
    digest: model_digest,
    model,
  } = await readPinned(folder, digest ?? (model_folder === null ? shipped_model.digest : undefined))
  release(model)
  const { dims, tokens_max } = card
  const settings: ThreadSettings = {
    folder,
    digest: model_digest,
    providers,
    device,
    intra_op_threads,
    batch_tokens_max,
    length_bucket,
  }
  for (const [name, value] of Object.entries(environmentOf({ providers, tensorrt_cache_folder, tensorrt_fp16 })))
    process.env[name] ??= value

  const slots: Slot[] = []
  const turns = openTurns<Call>(tokens_max)
  const urgent: Task<Call>[] = []
  /** Cut and not handed out yet. */
  const chunks: Chunk[] = []
  const calls = new Set<Call>()
  /** Calls that wait for room. */
  const waiting: Call[] = []
  /** Texts of the calls that are let in and not answered. */
  let held = 0
  let next_id = 0
  let pumping = false
  /** Since when the first of the texts in `turns` waits, and whether it has waited long enough. */
  let gathering: AbortController | null = null
  let gathered = false
  let closed = false
  /** Why nothing can be embedded now; null while some thread lives or starts. */
  let down: Fault | null = null
  let provider: Provider = 'cpu'
  let fell_back: readonly FellBack[] = []
  let feeding: Feeding = feedingOf('cpu')
  let crashes = 0
  const counts = {
    texts: 0,
    batches: 0,
    tokens: 0,
    cells: 0,
    truncated: 0,
    empty: 0,
    degenerate: 0,
    engine_ms: 0,
    tokenize_ms: 0,
  } satisfies Done
  const closing = new AbortController()

  const queued = (): number => held + waiting.reduce((sum, { texts }) => sum + texts.length, 0)
  const tellQueued = (): void => observe({ event: 'queued', texts: queued() })
  const alive = (): number => slots.filter(({ state }) => state === 'ready').length
  const tellThreads = (): void => observe({ event: 'threads', threads: alive() })

  const settle = (call: Call, fault: Fault | null): void => {
    if (call.settled) return
    call.settled = true
    if (calls.delete(call)) held -= call.texts.length
    if (fault === null) call.resolve(call.results)
    else call.reject(fault)
  }
  const rejectAll = (fault: Fault): void => {
    for (const call of [...calls, ...waiting]) settle(call, fault)
    waiting.length = 0
    urgent.length = 0
    chunks.length = 0
    turns.clear()
    tellQueued()
  }

  /** Lets calls in while there is room; one is always let in, however large it is, and so are urgent ones. */
  const letIn = (): void => {
    const room = queue_texts_max ?? feeding.queue_texts_max
    for (;;) {
      const call = waiting[0]
      if (call === undefined || (held > 0 && !call.urgent && held + call.texts.length > room)) return
      waiting.shift()
      calls.add(call)
      held += call.texts.length
      if (call.urgent)
        for (const [index, text] of call.texts.entries()) urgent.push({ call, index, tokens: tokensGuess(text, tokens_max) })
      else turns.add(call)
    }
  }

  const post = (slot: Slot, message: ToThread, transfer: ArrayBuffer[] = []): void => slot.thread?.postMessage(message, transfer)

  /** Starts the wait for the thread's next word, or ends it where nothing is asked of it. */
  const rewatch = (slot: Slot): void => {
    slot.watch?.abort()
    slot.watch = null
    if (slot.flight.length === 0) return
    const watch = new AbortController()
    slot.watch = watch
    void clock.sleep(deadline_ms, watch.signal).then(() => {
      if (watch.signal.aborted) return
      slot.last_error = `silent for ${deadline_ms} ms`
      void slot.thread?.terminate()
    })
  }

  const assign = (slot: Slot, chunk: Chunk): void => {
    slot.flight.push(chunk)
    if (slot.flight.length === 1) rewatch(slot)
    const texts = packTexts(chunk.tasks.map(({ call, index }) => call.texts[index]!))
    post(slot, { do: 'embed', id: chunk.id, texts, urgent: chunk.urgent }, [texts.bytes.buffer, texts.ends.buffer])
  }

  const chunkOf = (tasks: readonly Task<Call>[], is_urgent: boolean): Chunk => ({
    id: next_id++,
    tasks,
    urgent: is_urgent,
    deaths: 0,
  })

  /** The ready thread with the least to do, of those with fewer than `most` chunks. */
  const freest = (most: number): Slot | null => {
    let best: Slot | null = null
    for (const slot of slots)
      if (slot.state === 'ready' && slot.flight.length < Math.min(most, best?.flight.length ?? most)) best = slot
    return best
  }

  /** Whether the texts that wait are to be cut for this thread now, or are still to be gathered. */
  const ripe = (slot: Slot, batch: number): boolean => {
    if (turns.texts() === 0) return false
    if (turns.tokens() >= batch) return true
    // A thread that computes is given whole batches only: by the time it is done there may be more.
    if (slot.flight.length > 0) return false
    if (gathered || batch_wait_ms === 0 || slots.every(({ flight }) => flight.length === 0)) return true
    if (gathering === null) {
      const wait = new AbortController()
      gathering = wait
      void clock.sleep(batch_wait_ms, AbortSignal.any([wait.signal, closing.signal])).then(() => {
        if (wait.signal.aborted) return
        gathered = true
        pump()
      })
    }
    return false
  }

  const pump = (): void => {
    if (closed) return
    const batch = batch_tokens_max ?? feeding.batch_tokens_max
    while (urgent.length > 0) {
      const slot = freest(Number.POSITIVE_INFINITY)
      if (slot === null) break
      assign(slot, chunkOf(urgent.splice(0, feeding.window_texts), true))
    }
    for (;;) {
      const slot = freest(chunks_ahead)
      if (slot === null) return
      if (chunks.length === 0) {
        if (!ripe(slot, batch)) return
        gathering?.abort()
        gathering = null
        gathered = false
        const tasks = turns.take(feeding.window_texts)
        const last = turns.texts() === 0
        for (const cut of cutChunks(tasks, {
          batch_tokens_max: batch,
          chunk_tokens_max: chunk_batches * batch,
          threads: slots.length,
          last,
        }))
          chunks.push(chunkOf(cut, false))
      }
      const chunk = chunks.shift()
      if (chunk === undefined) continue
      assign(slot, chunk)
    }
  }
  /** Calls that are made one after the other in the same turn of the event loop are gathered before anything is cut. */
  const pumpSoon = (): void => {
    if (pumping) return
    pumping = true
    queueMicrotask(() => {
      pumping = false
      pump()
    })
  }

  /** What a thread held, put back or given up: only the chunks it may have died of count the death. */
  const putBack = (lost: readonly Chunk[], why: string): void => {
    const suspect = lost.find((chunk) => !chunk.urgent)
    for (const chunk of [...lost].reverse()) {
      if (chunk === suspect || chunk.urgent) chunk.deaths++
      if (chunk.deaths < 2) {
        const tasks = chunk.tasks.filter(({ call }) => !call.settled)
        // Chunks that were cut already keep their place before everything that is cut later.
        if (tasks.length > 0) chunks.unshift({ ...chunk, tasks })
        continue
      }
      const fault = unavailable(
        `The embedding thread failed twice on the same texts: ${why}. They are tried again with the batch.`,
      )
      for (const { call } of chunk.tasks) settle(call, fault)
    }
    letIn()
    tellQueued()
  }

  const deliver = (chunk: Chunk, vectors: Float32Array, fates: Uint8Array, work: Work): void => {
    const { texts, empty, degenerate } = counts
    counts.texts += chunk.tasks.length
    for (const [row, { call, index }] of chunk.tasks.entries()) {
      const fate = fates[row]
      if (fate === outcomes.empty) {
        counts.empty++
        call.results[index] = new Fault('embed.empty', 'Nothing is left of the text once it is split into tokens.')
      } else if (fate === outcomes.degenerate) {
        counts.degenerate++
        call.results[index] = new Fault('embed.degenerate', `The model ${card.name} gave a zero or not finite vector.`)
      } else call.results[index] = vectors.subarray(row * dims, (row + 1) * dims)
      call.left--
      if (call.left === 0) settle(call, null)
    }
    counts.batches += work.batches
    counts.tokens += work.tokens
    counts.cells += work.cells
    counts.truncated += work.truncated
    counts.engine_ms += work.engine_ms
    counts.tokenize_ms += work.tokenize_ms
    observe({
      event: 'worked',
      work: {
        ...work,
        texts: counts.texts - texts,
        empty: counts.empty - empty,
        degenerate: counts.degenerate - degenerate,
      },
    })
    letIn()
    tellQueued()
  }

  const onMessage = (slot: Slot, message: FromThread): void => {
    if (message.is === 'ready') {
      slot.state = 'ready'
      slot.refusal = null
      provider = message.provider
      fell_back = message.fell_back
      feeding = feedingOf(provider)
      down = null
      tellThreads()
      pump()
    } else if (message.is === 'refused') {
      slot.refusal = new Fault(message.code, message.message, message.detail)
    } else {
      const at = slot.flight.findIndex(({ id }) => id === message.id)
      const chunk = slot.flight[at]
      if (chunk === undefined) return
      slot.flight.splice(at, 1)
      rewatch(slot)
      if (message.is === 'done') {
        slot.failures = 0
        deliver(chunk, message.vectors, message.outcomes, message.work)
      } else putBack([chunk], message.message)
      pump()
    }
  }

  const onExit = (slot: Slot, code: number): void => {
    const started = slot.state !== 'starting'
    slot.state = 'gone'
    slot.thread = null
    const lost = slot.flight.splice(0)
    rewatch(slot)
    if (closed) return
    slot.failures++
    const why = slot.last_error === '' ? `exit code ${code}` : slot.last_error
    if (started) {
      crashes++
      observe({ event: 'crashed', why })
      tellThreads()
    }
    putBack(lost, why)
    if (!started && slots.every(({ state }) => state === 'gone' || state === 'starting')) {
      down = slot.refusal ?? unavailable(`No embedding thread can be started: ${why}. Starting goes on.`)
      rejectAll(down)
    }
    // At once after a first death, then ever more slowly: a thread that cannot live must not eat the machine.
    const wait_ms = slot.failures <= 1 ? 0 : Math.min(restart_ms_max, 100 * 2 ** Math.min(slot.failures - 2, 10))
    void clock.sleep(wait_ms, closing.signal).then(() => {
      if (!closed) start(slot)
    })
    // What it held may go to another.
    pump()
  }

  const start = (slot: Slot): void => {
    slot.state = 'starting'
    slot.last_error = ''
    const thread = spawn(settings)
    slot.thread = thread
    thread.on('message', (message: FromThread) => onMessage(slot, message))
    thread.on('error', (error: Error) => {
      slot.last_error = error.message
    })
    thread.on('exit', (code: number) => onExit(slot, code))
  }

  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    closing.abort()
    rejectAll(unavailable('The embedder is closed.'))
    await Promise.all(
      slots.map(async (slot) => {
        const { thread } = slot
        slot.watch?.abort()
        if (thread === null) return
        const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
        // A thread that computes hears this after the batch in hand, one that loads once it listens.
        post(slot, { do: 'close' })
        const patience = new AbortController()
        await Promise.race([exited, clock.sleep(close_ms_max, patience.signal)])
        patience.abort()
        await thread.terminate()
      }),
    )
  }

  /** Starts one more thread; resolves when it is ready. */
  const openSlot = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const slot: Slot = {
        thread: null,
        state: 'gone',
        flight: [],
        watch: null,
        failures: 0,
        last_error: '',
        refusal: null,
      }
      slots.push(slot)
      start(slot)
      slot.thread!.on('message', (message: FromThread) => {
        if (message.is === 'ready') resolve()
        if (message.is === 'refused') reject(new Fault(message.code, message.message, message.detail))
      })
      slot.thread!.on('error', (error: unknown) =>
        reject(unavailable('The embedding thread died while it loaded the model.', error)),
      )
      slot.thread!.on('exit', () => reject(unavailable('The embedding thread left while it loaded the model.')))
    })
  try {
    await openSlot()
    const threads = workers ?? threadsOf(provider, availableParallelism())
    const others = Array.from({ length: threads - 1 }, openSlot)
    try {
      await Promise.all(others)
    } finally {
      // The first refusal is the one that is told.
      for (const other of others) other.catch(() => undefined)
    }
  } catch (error) {
    await close()
    throw error
  }
  observe({ event: 'opened', provider, wanted, fell_back })

  return {
    model: { name: card.name, digest: model_digest, dims, tokens_max },
    embed: (texts, { urgent: is_urgent = false } = {}) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(unavailable('The embedder is closed.'))
        if (down !== null) return reject(down)
        if (texts.length === 0) return resolve([])
        if (waiting.length >= waiting_calls_max)
          return reject(unavailable(`${waiting.length} calls wait for ${slots.length} embedding threads: ask again later.`))
        const call: Call = {
          texts,
          urgent: is_urgent,
          results: new Array(texts.length),
          left: texts.length,
          settled: false,
          resolve,
          reject,
        }
        if (is_urgent) waiting.unshift(call)
        else waiting.push(call)
        letIn()
        tellQueued()
        pumpSoon()
      }),
    stats: () => ({ threads: alive(), queued: queued(), provider, fell_back, crashes, ...counts }),
    close,
  }
}
