/** What the GPU bench computes from names and numbers alone: work of a token, peak of a device, sizes to try. */

/** Of an encoder's config.json. */
export type EncoderShape = {
  readonly hidden_size: number
  readonly num_hidden_layers: number
  readonly intermediate_size: number
}

/** The shape of a BERT-like encoder, or null where the config does not say it. */
export const shapeOf = (config: unknown): EncoderShape | null => {
  if (typeof config !== 'object' || config === null) return null
  const { hidden_size, num_hidden_layers, intermediate_size } = config as Record<string, unknown>
  const whole = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0
  return whole(hidden_size) && whole(num_hidden_layers) && whole(intermediate_size)
    ? { hidden_size, num_hidden_layers, intermediate_size }
    : null
}

/**
 * Floating-point operations of one token in a text of `text_tokens` tokens; a multiplication and an addition are two. Per layer: four
 * projections of h x h, two of the feed-forward part of h x i, and scores and weighted values over the text. Embeddings, norms and
 * activations are left out, as is usual.
 */
export const flopPerToken = (shape: EncoderShape, text_tokens: number): number => {
  const { hidden_size: h, num_hidden_layers: layers, intermediate_size: i } = shape
  return layers * (2 * (4 * h * h + 2 * h * i) + 4 * h * text_tokens)
}

/**
 * Dense fp16 peaks of tensor cores in TFLOP/s, from NVIDIA's data sheets (without sparsity). The first name that fits counts, so that a
 * longer name stands before its beginning.
 */
const peaks: readonly (readonly [RegExp, number])[] = [
  [/\bB200\b/u, 2_250],
  [/\bGH200\b|\bH200\b/u, 989],
  [/\bH100 NVL\b/u, 835],
  [/\bH100 PCIe\b/u, 756],
  [/\bH100\b/u, 989],
  [/\bH20\b/u, 148],
  [/\bA100\b/u, 312],
  [/\bA40\b/u, 150],
  [/\bA30\b/u, 165],
  [/\bA10G?\b/u, 125],
  [/\bL40S\b/u, 362],
  [/\bL40\b/u, 181],
  [/\bL4\b/u, 121],
  [/\bT4\b/u, 65],
  [/\bV100\b/u, 125],
  [/\bRTX 5090\b/u, 210],
  [/\bRTX 4090\b/u, 165],
  [/\bRTX 3090\b/u, 71],
  [/\bRTX A6000\b/u, 155],
]

/** The device's dense fp16 peak in TFLOP/s, or null where the name is not known: then `--peak-tflops` says it. */
export const peakOf = (device: string): number | null => peaks.find(([name]) => name.test(device))?.[1] ?? null

/** What `nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader` printed: a device a line. */
export const devicesOf = (
  printed: string,
): readonly { readonly name: string; readonly memory: string; readonly driver: string }[] =>
  printed
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.trim()))
    .flatMap(([name, memory, driver]) =>
      name !== undefined && name !== '' && memory !== undefined && driver !== undefined ? [{ name, memory, driver }] : [],
    )

/** Whole numbers of a list such as `1,4,16`, ascending, each once; null where one is none from 1 to `max`. */
export const numbersOf = (list: string, max: number): readonly number[] | null => {
  const numbers = list.split(',').map((text) => (/^\d{1,9}$/u.test(text.trim()) ? Number(text.trim()) : Number.NaN))
  return numbers.every((number) => number >= 1 && number <= max) ? [...new Set(numbers)].sort((a, b) => a - b) : null
}

/** The middle of some values, the lower one of two. */
export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? Number.NaN
