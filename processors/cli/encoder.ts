/** The text encoder of the settings, its work told in metrics and what is unexpected in the log. */
import { type EmbedderEvent, type OnnxEmbedderOptions, openOnnxEmbedder } from '../adapters/onnx/embedder.ts'
import type { FellBack, Provider } from '../adapters/onnx/messages.ts'
import { readInt8Instructions } from '../adapters/onnx/providers.ts'
import { locateModel } from '../adapters/onnx/store.ts'
import type { Settings } from '../config/spec.ts'
import { Fault } from '../domain/fault.ts'
import type { Clock } from '../ports/clock.ts'
import type { Embedder } from '../ports/embedder.ts'
import type { Log } from '../telemetry/log.ts'
import type { Telemetry } from '../telemetry/metrics.ts'

/** What becomes of an encoder's events. */
export const encoderObserver =
  (telemetry: Telemetry, log: Log) =>
  (event: EmbedderEvent): void => {
    switch (event.event) {
      case 'opened':
        telemetry.set('entrepot_embedding_provider', { provider: event.provider, wanted: event.wanted }, 1)
        for (const { provider, reason } of event.fell_back)
          log.warn('embedder.fell_back', `Texts are encoded by ${event.provider}: ${provider} cannot be had here.`, {
            provider,
            reason,
          })
        return
      case 'threads':
        telemetry.set('entrepot_embedding_threads', {}, event.threads)
        return
      case 'crashed':
        telemetry.count('entrepot_embedding_crashes_total', {})
        log.warn('embedder.crashed', 'An embedding thread died and is replaced; its texts are tried once more.', {
          why: event.why,
        })
        return
      case 'queued':
        telemetry.set('entrepot_embedding_queue_texts', {}, event.texts)
        return
      case 'worked': {
        const { texts, empty, degenerate, truncated, tokens, cells, batches, engine_ms, tokenize_ms } = event.work
        telemetry.count('entrepot_embedding_texts_total', { outcome: 'vector' }, texts - empty - degenerate)
        telemetry.count('entrepot_embedding_texts_total', { outcome: 'empty' }, empty)
        telemetry.count('entrepot_embedding_texts_total', { outcome: 'degenerate' }, degenerate)
        telemetry.count('entrepot_embedding_truncated_total', {}, truncated)
        telemetry.count('entrepot_embedding_tokens_total', { kind: 'text' }, tokens)
        telemetry.count('entrepot_embedding_tokens_total', { kind: 'padding' }, cells - tokens)
        telemetry.count('entrepot_embedding_batches_total', {}, batches)
        telemetry.count('entrepot_embedding_busy_seconds_total', { step: 'infer' }, engine_ms / 1000)
        telemetry.count('entrepot_embedding_busy_seconds_total', { step: 'tokenize' }, tokenize_ms / 1000)
        return
      }
      default:
        event satisfies never
    }
  }

/** The options of the settings' encoder. */
const optionsOf = async (settings: Settings, clock: Clock): Promise<OnnxEmbedderOptions> => {
  const { model } = settings
  const { folder, digest } = await locateModel(model)
  return {
    model_folder: folder,
    digest,
    workers: model.workers,
    intra_op_threads: model.intra_op_threads,
    batch_tokens_max: model.batch_tokens_max,
    batch_wait_ms: model.batch_wait_ms,
    providers: model.providers as readonly Provider[],
    device: model.device,
    tensorrt_cache_folder: model.tensorrt_cache_folder,
    tensorrt_fp16: model.tensorrt_fp16,
    clock,
  }
}

/** What a trial of the settings' encoder shows. */
export type EncoderTrial = {
  readonly provider: Provider
  readonly fell_back: readonly FellBack[]
  /** Providers that this build of onnxruntime-node knows, and whether their libraries came with it. */
  readonly backends: readonly { readonly name: string; readonly bundled: boolean }[]
  /** One short text, from submit to vector, the best of three. */
  readonly text_ms: number
  /** See int8Instructions. */
  readonly int8: readonly string[] | null
}

/** Opens the encoder with one thread, as a run would, and encodes a text. Faults: as openOnnxEmbedder. */
export const tryEncoder = async (settings: Settings, clock: Clock): Promise<EncoderTrial> => {
  const embedder = await openOnnxEmbedder({ ...(await optionsOf(settings, clock)), workers: 1 })
  try {
    let text_ms = Number.POSITIVE_INFINITY
    for (let i = 0; i < 3; i++) {
      const started_ms = clock.monotonic_ms()
      for (const result of await embedder.embed(['A red kettle of steel, 1.7 litres'])) if (result instanceof Fault) throw result
      text_ms = Math.min(text_ms, clock.monotonic_ms() - started_ms)
    }
    const { listSupportedBackends } = await import('onnxruntime-node')
    const { provider, fell_back } = embedder.stats()
    return {
      provider: provider ?? 'cpu',
      fell_back,
      backends: listSupportedBackends(),
      text_ms,
      int8: await readInt8Instructions(),
    }
  } finally {
    await embedder.close()
  }
}

/** Opens the encoder of the settings; each call's time is measured, and `worked` is called when some texts are done. Faults: as openOnnxEmbedder. */
export const openEncoder = async (
  settings: Settings,
  {
    clock,
    telemetry,
    log,
    worked = () => undefined,
  }: { readonly clock: Clock; readonly telemetry: Telemetry; readonly log: Log; readonly worked?: () => void },
): Promise<Embedder> => {
  const tell = encoderObserver(telemetry, log)
  const embedder = await openOnnxEmbedder({
    ...(await optionsOf(settings, clock)),
    observe: (event) => {
      tell(event)
      if (event.event === 'worked') worked()
    },
  })
  return {
    model: embedder.model,
    close: () => embedder.close(),
    embed: async (texts, options) => {
      const started_ms = clock.monotonic_ms()
      try {
        return await embedder.embed(texts, options)
      } finally {
        telemetry.observe('entrepot_embedding_seconds', {}, (clock.monotonic_ms() - started_ms) / 1000)
      }
    },
  }
}
