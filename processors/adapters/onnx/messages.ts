/** What an encoder thread and its pool say to each other. */
import type { FaultCode, FaultDetail } from '../../domain/fault.ts'
import type { PackedTexts } from './texts.ts'

/** Execution providers of ONNX Runtime. Only `cpu` needs nothing installed. */
export const providers = ['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'] as const
export type Provider = (typeof providers)[number]

/** A provider that was wanted before the one in use, and the engine's own words on why it cannot be had. */
export type FellBack = { readonly provider: Provider; readonly reason: string }

export type ThreadSettings = {
  readonly folder: string
  readonly digest: string
  /** In order of preference. */
  readonly providers: readonly Provider[]
  /** Number of the device, where a provider has several. */
  readonly device: number
  readonly intra_op_threads: number
  /** Tokens of one inference call, padding included; null: what suits the provider. */
  readonly batch_tokens_max: number | null
  /** Texts are padded to a multiple of so many tokens; null: what suits the provider. */
  readonly length_bucket: number | null
}

export type ToThread =
  /** An urgent chunk goes before the others, between two inference calls. Both arrays of the texts are transferred. */
  { readonly do: 'embed'; readonly id: number; readonly texts: PackedTexts; readonly urgent: boolean } | { readonly do: 'close' }

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
  | { readonly is: 'ready'; readonly provider: Provider; readonly fell_back: readonly FellBack[] }
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
