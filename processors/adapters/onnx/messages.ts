/** What an encoder thread and its pool say to each other. */
import type { FaultCode, FaultDetail } from '../../domain/fault.ts'

/** Execution providers of ONNX Runtime. Only `cpu` needs nothing installed. */
export const providers = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'] as const
export type Provider = (typeof providers)[number]

export type ThreadSettings = {
  readonly folder: string
  readonly digest: string
  readonly providers: readonly Provider[]
  readonly intra_op_threads: number
  readonly batch_tokens_max: number
  readonly length_bucket: number
}

export type ToThread = { readonly do: 'embed'; readonly id: number; readonly texts: readonly string[] } | { readonly do: 'close' }

/** What became of each text, by index. */
export const outcomes = { vector: 0, empty: 1, degenerate: 2 } as const

export type Work = {
  readonly batches: number
  /** Real tokens, and tokens with padding. */
  readonly tokens: number
  readonly cells: number
  readonly truncated: number
  /** Time in the engine, and in tokenising. */
  readonly engine_ms: number
  readonly tokenize_ms: number
}

export type FromThread =
  | { readonly is: 'ready'; readonly provider: Provider; readonly fell_back: readonly { provider: Provider; reason: string }[] }
  | { readonly is: 'refused'; readonly code: FaultCode; readonly message: string; readonly detail: FaultDetail }
  | {
      readonly is: 'done'
      readonly id: number
      /** [texts x dims]; zeros where there is no vector. Transferred, not copied. */
      readonly vectors: Float32Array
      readonly outcomes: Uint8Array
      readonly work: Work
    }
  | { readonly is: 'failed'; readonly id: number; readonly message: string }
