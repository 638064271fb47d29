/** What the encoder does is counted under its names, and what is unexpected is logged once. */
import { expect, test } from '@jest/globals'
import type { EmbedderEvent } from '../adapters/onnx/embedder.ts'
import { type Log, no_log } from '../telemetry/log.ts'
import { openTelemetry } from '../telemetry/prometheus.ts'
import { encoderObserver } from './encoder.ts'

test('texts, cuts, tokens, padding, batches, time, queue, threads, deaths and the provider are in the metrics', async () => {
  const telemetry = openTelemetry({ strict: true })
  const lines: unknown[][] = []
  const log: Log = { ...no_log, warn: (...line) => void lines.push(line) }
  const observe = encoderObserver(telemetry, log)
  const work = {
    texts: 10,
    empty: 1,
    degenerate: 2,
    truncated: 3,
    batches: 4,
    tokens: 50,
    cells: 60,
    engine_ms: 500,
    tokenize_ms: 20,
  }
  const events: readonly EmbedderEvent[] = [
    { event: 'opened', provider: 'cpu', wanted: 'cuda', fell_back: [{ provider: 'cuda', reason: 'no library' }] },
    { event: 'threads', threads: 2 },
    { event: 'queued', texts: 17 },
    { event: 'worked', work },
    { event: 'worked', work },
    { event: 'crashed', why: 'exit code 3' },
  ]
  for (const event of events) observe(event)
  const text = await telemetry.text()
  for (const line of [
    'entrepot_embedding_texts_total{outcome="vector"} 14',
    'entrepot_embedding_texts_total{outcome="empty"} 2',
    'entrepot_embedding_texts_total{outcome="degenerate"} 4',
    'entrepot_embedding_truncated_total 6',
    'entrepot_embedding_tokens_total{kind="text"} 100',
    'entrepot_embedding_tokens_total{kind="padding"} 20',
    'entrepot_embedding_batches_total 8',
    'entrepot_embedding_busy_seconds_total{step="infer"} 1',
    'entrepot_embedding_busy_seconds_total{step="tokenize"} 0.04',
    'entrepot_embedding_queue_texts 17',
    'entrepot_embedding_threads 2',
    'entrepot_embedding_crashes_total 1',
    'entrepot_embedding_provider{provider="cpu",wanted="cuda"} 1',
  ])
    expect(text).toContain(`${line}\n`)
  expect(lines.map(([code]) => code)).toEqual(['embedder.fell_back', 'embedder.crashed'])
  expect(lines[0]).toContainEqual({ provider: 'cuda', reason: 'no library' })
})
