/** What differs between execution providers: how much they are fed, how they are asked for, what they read from the environment. */
import { readFile } from 'node:fs/promises'
import type { InferenceSession } from 'onnxruntime-node'
import type { Provider } from './messages.ts'

/** How work is cut for a provider where the settings do not say it. */
export type Feeding = {
  /** Tokens of one inference call, padding included. */
  readonly batch_tokens_max: number
  /** Texts are padded to a multiple of so many tokens. */
  readonly length_bucket: number
  /** Texts looked at together when lengths are sorted. */
  readonly window_texts: number
  /** Texts that may be held; calls beyond it wait for room. */
  readonly queue_texts_max: number
  /** Whether texts are tokenised while the engine computes: worth a core only where the engine is not one. */
  readonly tokenizes_ahead: boolean
}

const on_cores: Feeding = {
  batch_tokens_max: 768,
  length_bucket: 4,
  window_texts: 1_024,
  queue_texts_max: 8_192,
  tokenizes_ahead: false,
}
/** A device wants tens of thousands of tokens at once, in rows that suit its matrix units. */
const on_device: Feeding = {
  batch_tokens_max: 65_536,
  length_bucket: 8,
  window_texts: 16_384,
  queue_texts_max: 65_536,
  tokenizes_ahead: true,
}

/** What suits a provider. */
export const feedingOf = (provider: Provider): Feeding => (provider === 'cpu' ? on_cores : on_device)

/** Threads where the settings name no number: on cores one each, less one for everything else; a device is kept busy by two. */
export const threadsOf = (provider: Provider, cores: number): number => (provider === 'cpu' ? Math.max(1, cores - 1) : 2)

/** A provider with its device; what it cannot compute falls to the CPU node by node. */
export const executionProviders = (
  provider: Provider,
  device: number,
): readonly (string | InferenceSession.ExecutionProviderConfig)[] => {
  switch (provider) {
    case 'cpu':
      return ['cpu']
    case 'cuda':
      return [{ name: 'cuda', deviceId: device }, 'cpu']
    case 'tensorrt':
      // What TensorRT has no kernel for runs by CUDA's.
      return [{ name: 'tensorrt', deviceId: device }, { name: 'cuda', deviceId: device }, 'cpu']
    case 'dml':
      return [{ name: 'dml', deviceId: device }, 'cpu']
    case 'webgpu':
    case 'coreml':
      return [provider, 'cpu']
  }
}

/**
 * Variables that native code reads from the environment of the process, to be set before a thread exists.
 * The tokeniser would spread one batch over every core, beside as many threads that infer: with sessions on the cores it keeps to
 * the thread that it was asked on (the same CPU seconds a text: 15 to 28 thousand titles a CPU-second either way). The Node binding
 * of ONNX Runtime hands TensorRT its device and nothing else; a cache folder and fp16 reach it by its variables.
 */
export const environmentOf = (settings: {
  readonly providers: readonly Provider[]
  readonly tensorrt_cache_folder: string | null
  readonly tensorrt_fp16: boolean
}): Readonly<Record<string, string>> => ({
  ...(settings.providers[0] === 'cpu' ? { TOKENIZERS_PARALLELISM: 'false' } : {}),
  ...(settings.providers.includes('tensorrt') && settings.tensorrt_cache_folder !== null
    ? { ORT_TENSORRT_ENGINE_CACHE_ENABLE: '1', ORT_TENSORRT_CACHE_PATH: settings.tensorrt_cache_folder }
    : {}),
  ...(settings.providers.includes('tensorrt') && settings.tensorrt_fp16 ? { ORT_TENSORRT_FP16_ENABLE: '1' } : {}),
})

/** Instructions for int8 products, by their names in /proc/cpuinfo. */
const int8_flags = ['avx_vnni', 'avx512_vnni', 'amx_int8', 'asimddp', 'i8mm'] as const

/** The int8 instructions that /proc/cpuinfo lists, or null where its text names no flags at all. */
export const int8Instructions = (cpuinfo: string): readonly string[] | null => {
  const line = /^(?:flags|Features)\s*:\s*(.*)$/mu.exec(cpuinfo)?.[1]
  if (line === undefined) return null
  const flags = new Set(line.split(' '))
  return int8_flags.filter((flag) => flags.has(flag))
}

/** What this machine's processor has of int8 instructions; null where it cannot be known. */
export const readInt8Instructions = async (): Promise<readonly string[] | null> => {
  try {
    return int8Instructions(await readFile('/proc/cpuinfo', 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
