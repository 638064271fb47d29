/** The text encoder of the settings, its work told in metrics and what is unexpected in the log. */
import { type EmbedderEvent, openOnnxEmbedder } from '../adapters/onnx/embedder.ts'
import type { Provider } from '../adapters/onnx/messages.ts'
import { locateModel } from '../adapters/onnx/store.ts'
import type { Settings } from '../config/spec.ts'
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

/** Opens the encoder of the settings; each call's time is measured. Faults: as openOnnxEmbedder. */
export const openEncoder = async (
  settings: Settings,
  { clock, telemetry, log }: { readonly clock: Clock; readonly telemetry: Telemetry; readonly log: Log },
): Promise<Embedder> => {
  const { model } = settings
  const { folder, digest } = await locateModel(model)
  const embedder = await openOnnxEmbedder({
    model_folder: folder,
    digest,
    workers: model.workers,
    batch_tokens_max: model.batch_tokens_max,
    batch_wait_ms: model.batch_wait_ms,
    providers: model.providers as readonly Provider[],
    device: model.device,
    tensorrt_cache_folder: model.tensorrt_cache_folder,
    tensorrt_fp16: model.tensorrt_fp16,
    clock,
    observe: encoderObserver(telemetry, log),
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
