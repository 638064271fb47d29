/** Providers are asked for as the binding wants it, and only what a provider needs is put into the environment. */
import { expect, test } from '@jest/globals'
import { metrics } from '../../telemetry/metrics.ts'
import { providers } from './messages.ts'
import { environmentOf, executionProviders, feedingOf, int8Instructions, readInt8Instructions, threadsOf } from './providers.ts'

test('every provider ends at the CPU; TensorRT leaves what it cannot do to CUDA, on the same device', () => {
  for (const provider of providers) expect(executionProviders(provider, 0).at(-1)).toBe('cpu')
  expect(executionProviders('cuda', 2)).toEqual([{ name: 'cuda', deviceId: 2 }, 'cpu'])
  expect(executionProviders('tensorrt', 1)).toEqual([{ name: 'tensorrt', deviceId: 1 }, { name: 'cuda', deviceId: 1 }, 'cpu'])
  expect(executionProviders('webgpu', 1)).toEqual(['webgpu', 'cpu'])
})

test('a device is fed by tens of thousands of tokens and two threads, cores by hundreds and one each', () => {
  for (const provider of providers) {
    const feeding = feedingOf(provider)
    if (provider === 'cpu') expect(feeding.batch_tokens_max).toBe(768)
    else expect(feeding.batch_tokens_max).toBeGreaterThanOrEqual(65_536)
    expect(feeding.queue_texts_max).toBeGreaterThan(feeding.window_texts)
  }
  expect([threadsOf('cpu', 1), threadsOf('cpu', 2), threadsOf('cpu', 16), threadsOf('cuda', 16)]).toEqual([1, 1, 15, 2])
})

test('the tokeniser keeps to its thread where cores infer; TensorRT’s variables are set only for TensorRT', () => {
  const none = { tensorrt_cache_folder: null, tensorrt_fp16: false }
  expect(environmentOf({ providers: ['cpu'], ...none })).toEqual({ TOKENIZERS_PARALLELISM: 'false' })
  expect(environmentOf({ providers: ['cuda', 'cpu'], tensorrt_cache_folder: '/c', tensorrt_fp16: true })).toEqual({})
  expect(environmentOf({ providers: ['tensorrt', 'cuda'], tensorrt_cache_folder: '/c', tensorrt_fp16: true })).toEqual({
    ORT_TENSORRT_ENGINE_CACHE_ENABLE: '1',
    ORT_TENSORRT_CACHE_PATH: '/c',
    ORT_TENSORRT_FP16_ENABLE: '1',
  })
})

test('int8 instructions are read from the processor’s flags, Intel’s, AMD’s and Arm’s', async () => {
  expect(int8Instructions('processor : 0\nflags\t\t: fpu avx2 avx512_vnni avx_vnni\n')).toEqual(['avx_vnni', 'avx512_vnni'])
  expect(int8Instructions('Features : fp asimd asimddp i8mm\n')).toEqual(['asimddp', 'i8mm'])
  expect(int8Instructions('flags : fpu avx2\n')).toEqual([])
  expect(int8Instructions('')).toBeNull()
  const here = await readInt8Instructions()
  expect(here === null || here.every((flag) => /^[a-z0-9_]+$/u.test(flag))).toBe(true)
})

test('the metric’s labels are the providers there are', () => {
  const { provider, wanted } = metrics.entrepot_embedding_provider.labels
  expect([provider.values, wanted.values]).toEqual([[...providers], [...providers]])
})
