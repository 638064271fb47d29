/** The Embedder port on onnxruntime-node: a pool of threads with one session each, because a session blocks the thread it runs on. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { Fault } from '../../domain/fault.ts'
import type { Vector } from '../../domain/vector.ts'
import type { Clock } from '../../ports/clock.ts'
import type { Embedder } from '../../ports/embedder.ts'
import { type FromThread, outcomes, type Provider, type ThreadSettings, type ToThread } from './messages.ts'
import { readPinned, shipped_model } from './pinned.ts'

export type OnnxEmbedderOptions = {
  /** Folder with model.json, weights, tokenizer and config; null or absent: the model that ships with Entrepot. */
  readonly model_folder?: string | null
  /** The encoder's digest when the folder is not trusted to pin itself; the shipped model always has its own. */
  readonly digest?: string | null
  /** Threads, one session each; null or absent: one per core, less one for everything else. */
  readonly workers?: number | null
  /** Threads inside a session. More sessions scale better than more threads in one. */
  readonly intra_op_threads?: number
  /** Tokens of one inference call, padding included. On a CPU 512 to 1024 is best; a GPU wants tens of thousands. */
  readonly batch_tokens_max?: number
  /** Texts are padded to a multiple of so many tokens. Greater means fuller batches and more padding. */
  readonly length_bucket?: number
  /** How long a first text waits for company while threads are idle; 0 = not at all. Texts that wait for a thread are gathered anyway. */
  readonly linger_ms?: number
  /** In order of preference; what cannot be opened is skipped and named in stats. */
  readonly providers?: readonly Provider[]
  /** A call that finds so many texts waiting is refused with embedder.unavailable. */
  readonly queue_texts_max?: number
  /** A thread that is silent on one request for so long is replaced. */
  readonly deadline_ms?: number
  readonly clock: Clock
  /** Starts a thread; tests pass their own to hold on to it. */
  readonly spawn?: (settings: ThreadSettings) => Worker
}

/** Since the start, except `threads` and `queued`. */
export type EmbedderStats = {
  readonly threads: number
  readonly queued: number
  readonly provider: Provider | null
  readonly fell_back: readonly { readonly provider: Provider; readonly reason: string }[]
  readonly texts: number
  readonly batches: number
  readonly tokens: number
  /** Tokens with padding. */
  readonly cells: number
  /** Texts cut at tokens_max. */
  readonly truncated: number
  readonly empty: number
  readonly degenerate: number
  /** Threads that died or were replaced. */
  readonly crashes: number
  readonly engine_ms: number
  readonly tokenize_ms: number
}

type Call = {
  readonly texts: readonly string[]
  readonly results: (Vector | Fault)[]
  left: number
  settled: boolean
  readonly resolve: (results: readonly (Vector | Fault)[]) => void
  readonly reject: (fault: Fault) => void
}
type Task = { readonly call: Call; readonly index: number }
/** What one thread gets at once: texts of similar length, a few inference batches long. */
type Chunk = { readonly id: number; readonly tasks: readonly Task[]; attempts: number }
type Slot = {
  thread: Worker | null
  state: 'starting' | 'idle' | 'busy' | 'gone'
  chunk: Chunk | null
  watch: AbortController | null
  /** Starts in a row after which no chunk was finished. */
  failures: number
  last_error: string
  refusal: Fault | null
}

/** Texts looked at together when lengths are sorted. */
const window_texts = 1_024
/** Inference batches a thread gets at once: enough to sort by length, few enough to be repeated after a crash. */
const chunk_batches = 8
const restart_ms_max = 10_000
const close_ms_max = 5_000

const worker_file = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url))
/** Starts a thread that loads the encoder of its settings. */
export const spawnThread = (settings: ThreadSettings): Worker =>
  new Worker(worker_file, { workerData: settings, execArgv: [], name: 'embedder' })

const unavailable = (what: string, cause?: unknown): Fault => new Fault('embedder.unavailable', what, {}, cause)
/** A guess that only decides how work is cut up. */
const tokensGuess = (text: string, tokens_max: number): number => Math.min(tokens_max, 3 + Math.ceil(text.length / 3))

/**
 * Opens the encoder and its threads, and returns once each thread has verified, loaded and tried the model.
 * Faults: model.missing, model.sha256, model.shape, config.invalid; each message holds the command or the value that helps.
 */
export const openOnnxEmbedder = async (options: OnnxEmbedderOptions): Promise<Embedder & { stats(): EmbedderStats }> => {
  const {
    model_folder = null,
    digest = null,
    workers = null,
    intra_op_threads = 1,
    batch_tokens_max = 768,
    length_bucket = 4,
    linger_ms = 0,
    providers = ['cpu'],
    queue_texts_max = 8_192,
    deadline_ms = 60_000,
    clock,
    spawn = spawnThread,
  } = options
  const whole = (field: string, value: number, min: number): void => {
    if (!Number.isInteger(value) || value < min)
      throw new Fault('config.invalid', `The embedder's ${field} takes an integer from ${min}; it is ${value}.`, { field })
  }
  const threads = workers ?? Math.max(1, availableParallelism() - 1)
  whole('workers', threads, 1)
  whole('intra_op_threads', intra_op_threads, 1)
  whole('batch_tokens_max', batch_tokens_max, 1)
  whole('length_bucket', length_bucket, 1)
  whole('queue_texts_max', queue_texts_max, 1)
  if (providers.length === 0) throw new Fault('config.invalid', 'The embedder needs a provider: `cpu` works everywhere.')

  const folder = model_folder ?? shipped_model.folder
  // Verified here first, so that a wrong model is refused before any thread exists; each thread verifies what it loads again.
  const pinned = await readPinned(folder, digest ?? (model_folder === null ? shipped_model.digest : undefined))
  const { card } = pinned
  const { dims, tokens_max } = card
  const settings: ThreadSettings = {
    folder,
    digest: pinned.digest,
    providers,
    intra_op_threads,
    batch_tokens_max,
    length_bucket,
  }

  const queue: Task[] = []
  const chunks: Chunk[] = []
  const calls = new Set<Call>()
  let next_id = 0
  let queued = 0
  let lingering = false
  let closed = false
  /** Why nothing can be embedded now; null while some thread lives or starts. */
  let down: Fault | null = null
  let provider: Provider | null = null
  let fell_back: EmbedderStats['fell_back'] = []
  const counts = {
    texts: 0,
    batches: 0,
    tokens: 0,
    cells: 0,
    truncated: 0,
    empty: 0,
    degenerate: 0,
    crashes: 0,
    engine_ms: 0,
    tokenize_ms: 0,
  }
  const closing = new AbortController()

  const settle = (call: Call, fault: Fault | null): void => {
    if (call.settled) return
    call.settled = true
    calls.delete(call)
    if (fault === null) call.resolve(call.results)
    else call.reject(fault)
  }
  const rejectAll = (fault: Fault): void => {
    for (const call of [...calls]) settle(call, fault)
    queue.length = 0
    chunks.length = 0
    queued = 0
  }

  /** Cuts the oldest waiting texts into chunks of similar length, longest first, so that all threads end together. */
  const refill = (): void => {
    const tasks: Task[] = []
    for (const task of queue.splice(0, window_texts)) {
      if (task.call.settled) queued--
      else tasks.push(task)
    }
    const text = ({ call, index }: Task): string => call.texts[index]!
    tasks.sort((a, b) => text(b).length - text(a).length)
    const total = tasks.reduce((sum, task) => sum + tokensGuess(text(task), tokens_max), 0)
    const share = Math.min(chunk_batches * batch_tokens_max, Math.max(batch_tokens_max / 2, Math.ceil(total / threads)))
    let chunk: Task[] = []
    let tokens = 0
    const cut = (): void => {
      if (chunk.length > 0) chunks.push({ id: next_id++, tasks: chunk, attempts: 0 })
      chunk = []
      tokens = 0
    }
    for (const task of tasks) {
      const guess = tokensGuess(text(task), tokens_max)
      if (tokens + guess > share) cut()
      chunk.push(task)
      tokens += guess
    }
    cut()
  }

  const post = (slot: Slot, message: ToThread): void => slot.thread?.postMessage(message)

  const assign = (slot: Slot, chunk: Chunk): void => {
    slot.state = 'busy'
    slot.chunk = chunk
    chunk.attempts++
    const watch = new AbortController()
    slot.watch = watch
    post(slot, { do: 'embed', id: chunk.id, texts: chunk.tasks.map(({ call, index }) => call.texts[index]!) })
    void clock.sleep(deadline_ms, watch.signal).then(() => {
      if (watch.signal.aborted || slot.chunk !== chunk) return
      slot.last_error = `silent for ${deadline_ms} ms`
      void slot.thread?.terminate()
    })
  }

  const pump = (): void => {
    if (closed || lingering) return
    for (const slot of slots) {
      if (slot.state !== 'idle') continue
      if (chunks.length === 0 && queue.length > 0) refill()
      const chunk = chunks.shift()
      if (chunk === undefined) return
      assign(slot, chunk)
    }
  }

  /** The chunk leaves its thread: as done, or to be tried once more. */
  const take = (slot: Slot): Chunk | null => {
    const { chunk } = slot
    slot.watch?.abort()
    slot.watch = null
    slot.chunk = null
    return chunk
  }
  const retry = (chunk: Chunk, why: string): void => {
    if (chunk.attempts < 2) {
      chunks.unshift(chunk)
      return
    }
    queued -= chunk.tasks.length
    const fault = unavailable(`The embedding thread failed twice on the same texts: ${why}. They are tried again with the batch.`)
    for (const { call } of chunk.tasks) settle(call, fault)
  }

  const deliver = (chunk: Chunk, vectors: Float32Array, fates: Uint8Array): void => {
    queued -= chunk.tasks.length
    counts.texts += chunk.tasks.length
    for (const [row, { call, index }] of chunk.tasks.entries()) {
      const fate = fates[row]
      if (fate === outcomes.empty) {
        counts.empty++
        call.results[index] = new Fault('embed.empty', 'Nothing is left of the text once it is split into tokens.')
      } else if (fate === outcomes.degenerate) {
        counts.degenerate++
        call.results[index] = new Fault('embed.degenerate', `The model ${card.name} gave a zero or not finite vector.`)
      } else {
        const vector = new Float32Array(dims)
        vector.set(vectors.subarray(row * dims, (row + 1) * dims))
        call.results[index] = vector
      }
      call.left--
      if (call.left === 0) settle(call, null)
    }
  }

  const onMessage = (slot: Slot, message: FromThread): void => {
    if (message.is === 'ready') {
      slot.state = 'idle'
      slot.refusal = null
      provider = message.provider
      fell_back = message.fell_back
      down = null
      pump()
    } else if (message.is === 'refused') {
      slot.refusal = new Fault(message.code, message.message, message.detail)
    } else {
      const chunk = take(slot)
      slot.state = 'idle'
      if (chunk !== null && message.id === chunk.id) {
        if (message.is === 'done') {
          slot.failures = 0
          const { batches, tokens, cells, truncated, engine_ms, tokenize_ms } = message.work
          counts.batches += batches
          counts.tokens += tokens
          counts.cells += cells
          counts.truncated += truncated
          counts.engine_ms += engine_ms
          counts.tokenize_ms += tokenize_ms
          deliver(chunk, message.vectors, message.outcomes)
        } else retry(chunk, message.message)
      }
      pump()
    }
  }

  const onExit = (slot: Slot, code: number): void => {
    const started = slot.state !== 'starting'
    slot.state = 'gone'
    slot.thread = null
    const chunk = take(slot)
    if (closed) return
    slot.failures++
    if (started) counts.crashes++
    const why = slot.last_error === '' ? `exit code ${code}` : slot.last_error
    if (chunk !== null) retry(chunk, why)
    if (!started && slots.every(({ state }) => state === 'gone' || state === 'starting')) {
      down = slot.refusal ?? unavailable(`No embedding thread can be started: ${why}. Starting goes on.`)
      rejectAll(down)
    }
    // At once after a first death, then ever more slowly: a thread that cannot live must not eat the machine.
    const wait_ms = slot.failures <= 1 ? 0 : Math.min(restart_ms_max, 100 * 2 ** Math.min(slot.failures - 2, 10))
    void clock.sleep(wait_ms, closing.signal).then(() => {
      if (!closed) start(slot)
    })
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

  const slots: readonly Slot[] = Array.from({ length: threads }, () => ({
    thread: null,
    state: 'gone',
    chunk: null,
    watch: null,
    failures: 0,
    last_error: '',
    refusal: null,
  }))

  const close = async (): Promise<void> => {
    if (closed) return
    closed = true
    closing.abort()
    rejectAll(unavailable('The embedder is closed.'))
    await Promise.all(
      slots.map(async (slot) => {
        const { thread } = slot
        if (thread === null) return
        slot.watch?.abort()
        const exited = new Promise<void>((resolve) => thread.once('exit', () => resolve()))
        // A thread that still loads hears this once it listens.
        post(slot, { do: 'close' })
        const patience = new AbortController()
        await Promise.race([exited, clock.sleep(close_ms_max, patience.signal)])
        patience.abort()
        await thread.terminate()
      }),
    )
  }

  const opened = slots.map(
    (slot) =>
      new Promise<void>((resolve, reject) => {
        start(slot)
        slot.thread!.on('message', (message: FromThread) => {
          if (message.is === 'ready') resolve()
          if (message.is === 'refused') reject(new Fault(message.code, message.message, message.detail))
        })
        slot.thread!.on('error', (error: unknown) =>
          reject(unavailable('The embedding thread died while it loaded the model.', error)),
        )
        slot.thread!.on('exit', () => reject(unavailable('The embedding thread left while it loaded the model.')))
      }),
  )
  try {
    await Promise.all(opened)
  } catch (error) {
    await Promise.allSettled([close(), ...opened])
    throw error
  }

  return {
    model: { name: card.name, digest: pinned.digest, dims, tokens_max },
    embed: (texts) =>
      new Promise((resolve, reject) => {
        if (closed) return reject(unavailable('The embedder is closed.'))
        if (down !== null) return reject(down)
        if (texts.length === 0) return resolve([])
        if (queued >= queue_texts_max)
          return reject(
            unavailable(`${queued} texts wait for ${threads} embedding threads: ask again later, or give more workers.`),
          )
        const call: Call = { texts, results: new Array(texts.length), left: texts.length, settled: false, resolve, reject }
        calls.add(call)
        for (let index = 0; index < texts.length; index++) queue.push({ call, index })
        queued += texts.length
        if (linger_ms > 0 && !lingering && slots.some(({ state }) => state === 'idle')) {
          lingering = true
          void clock.sleep(linger_ms, closing.signal).then(() => {
            lingering = false
            pump()
          })
        }
        pump()
      }),
    stats: () => ({
      threads: slots.filter(({ state }) => state === 'idle' || state === 'busy').length,
      queued,
      provider,
      fell_back,
      ...counts,
    }),
    close,
  }
}
