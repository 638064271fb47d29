/** The inner loop of the embedded search: int8 dot products in WebAssembly SIMD, compiled from text at start. */
import wabt from 'wabt'

/** Rows are padded with zeros to a multiple of this, so that the loop needs no tail. */
export const dims_step = 32

/** Above this an int32 lane could overflow: 2,048 / 4 lanes * 32,767 * 128 < 2^31. */
export const scan_dims_max = 2_048

/** One step: eight row bytes widened to int16, times eight of the query, added in pairs into four int32 lanes. */
const step = (sum: string, offset: number): string => `
          (local.set ${sum} (i32x4.add (local.get ${sum})
            (i32x4.dot_i16x8_s
              (v128.load8x8_s offset=${offset} (local.get $row))
              (v128.load offset=${2 * offset} (local.get $q)))))`

const scan_wat = `
(module
  (import "host" "memory" (memory 1))
  (func (export "dots")
    (param $query i32) (param $row i32) (param $scale i32) (param $count i32) (param $dims i32) (param $out i32)
    (local $row_end i32) (local $q i32) (local $a v128) (local $b v128) (local $sum v128)
    (block $done
      (loop $rows
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $row_end (i32.add (local.get $row) (local.get $dims)))
        (local.set $q (local.get $query))
        (local.set $a (v128.const i32x4 0 0 0 0))
        (local.set $b (v128.const i32x4 0 0 0 0))
        (loop $steps${step('$a', 0)}${step('$b', 8)}${step('$a', 16)}${step('$b', 24)}
          (local.set $q (i32.add (local.get $q) (i32.const 64)))
          (local.set $row (i32.add (local.get $row) (i32.const 32)))
          (br_if $steps (i32.lt_u (local.get $row) (local.get $row_end))))
        (local.set $sum (f32x4.convert_i32x4_s (i32x4.add (local.get $a) (local.get $b))))
        (f32.store (local.get $out)
          (f32.mul (f32.load (local.get $scale))
            (f32.add
              (f32.add (f32x4.extract_lane 0 (local.get $sum)) (f32x4.extract_lane 1 (local.get $sum)))
              (f32.add (f32x4.extract_lane 2 (local.get $sum)) (f32x4.extract_lane 3 (local.get $sum))))))
        (local.set $scale (i32.add (local.get $scale) (i32.const 4)))
        (local.set $out (i32.add (local.get $out) (i32.const 4)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $rows)))))
`

/**
 * out[r] = scale[r] * sum over i of query[i] * row[r][i], for `count` rows. All but count and dims are addresses in bytes:
 * query int16 [dims], row int8 [count, dims] without gaps, scale and out float32 [count]; dims is a multiple of dims_step.
 */
export type Dots = (query: number, row: number, scale: number, count: number, dims: number, out: number) => void

/** Linear memory, as far as it is used here: TypeScript knows WebAssembly only with the types of the browser. */
export type ScanMemory = { readonly buffer: ArrayBuffer; grow(pages: number): number }

declare const WebAssembly: {
  readonly Memory: new (limits: { readonly initial: number; readonly maximum: number }) => ScanMemory
  compile(bytes: Uint8Array): Promise<object>
  instantiate(module: object, imports: object): Promise<{ readonly exports: Readonly<Record<string, unknown>> }>
}

/** Memory of `initial` pages of 64 KiB that can grow to 4 GiB. */
export const scanMemory = (initial: number): ScanMemory => new WebAssembly.Memory({ initial, maximum: 65_536 })

let compiled: Promise<object> | undefined

const compile = async (): Promise<object> => {
  const { parseWat } = await wabt()
  const parsed = parseWat('vector-scan.wat', scan_wat, { simd: true })
  try {
    parsed.resolveNames()
    parsed.validate()
    return await WebAssembly.compile(parsed.toBinary({}).buffer)
  } finally {
    parsed.destroy()
  }
}

/** The kernel over `memory`; the text is compiled once a process (about 80 ms). */
export const scanOver = async (memory: ScanMemory): Promise<Dots> => {
  compiled ??= compile()
  const instance = await WebAssembly.instantiate(await compiled, { host: { memory } })
  return instance.exports['dots'] as Dots
}
