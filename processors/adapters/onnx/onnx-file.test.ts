/** Bytes of an ONNX file are read without trust: weights elsewhere are found wherever they hide, broken files are refused. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../../domain/fault.ts'
import { hasExternalData, outputsOf, signatureOf, weightsOf, withOutput } from './onnx-file.ts'
import { shipped_model } from './pinned.ts'
import { tiny_dims, tiny_words, tinyGraph } from './tiny-model.fixture.ts'

const varint = (value: number): number[] => (value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))])
const bytes = (field: number, content: readonly number[]): number[] => [
  ...varint(field * 8 + 2),
  ...varint(content.length),
  ...content,
]
const text = (field: number, value: string): number[] => bytes(field, [...Buffer.from(value, 'utf8')])

const inline_tensor = [...text(8, 'w'), ...bytes(9, [1, 2, 3, 4])]
const external_tensor = [...text(8, 'w'), ...bytes(13, [...text(1, 'location'), ...text(2, '../../etc/passwd')]), 14 * 8, 1]
const located_tensor = [...text(8, 'w'), 14 * 8, 1]
const output = text(1, 'sentence_embedding')
const model = (...graph_fields: number[][]): Uint8Array =>
  Uint8Array.from([8, 8, ...bytes(7, [...graph_fields.flat(), ...bytes(12, output)])])

describe('weights in other files', () => {
  const node = (attribute: number[]): number[] => bytes(5, attribute)
  test.each([
    ['an initializer', model(bytes(5, external_tensor))],
    ['an initializer that only says so', model(bytes(5, located_tensor))],
    ['a sparse initializer', model(bytes(15, bytes(2, external_tensor)))],
    ['a node’s attribute', model(bytes(1, node(bytes(5, external_tensor))))],
    ['a list in an attribute', model(bytes(1, node(bytes(10, external_tensor))))],
    ['a sparse attribute', model(bytes(1, node(bytes(22, bytes(1, external_tensor)))))],
    ['a subgraph', model(bytes(1, node(bytes(6, bytes(1, node(bytes(11, bytes(5, external_tensor))))))))],
    ['a function', Uint8Array.from([...model(bytes(5, inline_tensor)), ...bytes(25, bytes(7, node(bytes(5, external_tensor))))])],
    ['a second graph field', Uint8Array.from([...model(bytes(5, inline_tensor)), ...bytes(7, bytes(5, external_tensor))])],
  ])('are found in %s', (_, file) => {
    expect(hasExternalData(file)).toBe(true)
  })

  test('are not seen where there are none', () => {
    expect(hasExternalData(model(bytes(5, inline_tensor), bytes(1, node(bytes(5, inline_tensor)))))).toBe(false)
    expect(hasExternalData(readFileSync(join(shipped_model.folder, 'model_int8.onnx')))).toBe(false)
  })

  test('subgraphs nested without end are refused', () => {
    let graph: number[] = bytes(5, inline_tensor)
    for (let i = 0; i < 40; i++) graph = bytes(1, node(bytes(6, graph)))
    expect(() => hasExternalData(model(graph))).toThrow(Fault)
  })
})

test('whatever the bytes, the answer is yes, no or a fault, and it comes soon', () => {
  const valid = [...model(bytes(5, inline_tensor), bytes(1, bytes(5, bytes(5, inline_tensor))))]
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(valid.length - 1), fc.nat(255), (noise, at, value) => {
      const flipped = Uint8Array.from(valid)
      flipped[at] = value
      for (const file of [noise, flipped, flipped.subarray(0, at)]) {
        try {
          expect(typeof hasExternalData(file)).toBe('boolean')
        } catch (error) {
          expect(error).toBeInstanceOf(Fault)
          expect((error as Fault).code).toBe('model.shape')
        }
      }
    }),
    { numRuns: 500 },
  )
})

describe('outputs', () => {
  test('an inner tensor is added once, at the end, and nothing before it changes', () => {
    const file = model(bytes(5, inline_tensor))
    const more = withOutput(file, '/inner/tensor')
    expect(outputsOf(more)).toEqual(['sentence_embedding', '/inner/tensor'])
    expect(Buffer.from(more.subarray(0, file.length)).equals(Buffer.from(file))).toBe(true)
    expect(withOutput(more, '/inner/tensor')).toBe(more)
    expect(withOutput(file, 'sentence_embedding')).toBe(file)
  })
})

describe('what a graph says of itself', () => {
  test('inputs and outputs with type and shape; old files list weights among the inputs, which are none', () => {
    expect(signatureOf(tinyGraph())).toEqual({
      inputs: [
        { name: 'input_ids', type: 'int64', dims: [null, null] },
        { name: 'attention_mask', type: 'int64', dims: [null, null] },
      ],
      outputs: [{ name: 'last_hidden_state', type: 'float32', dims: [null, null, tiny_dims] }],
    })
    const old = model(bytes(5, text(8, 'w')), bytes(11, text(1, 'w')), bytes(11, text(1, 'input_ids')))
    expect(signatureOf(old).inputs.map(({ name }) => name)).toEqual(['input_ids'])
    expect(() => signatureOf(Buffer.from('x'))).toThrow(Fault)
  })

  test('precision by most bytes, and the rows of the table that input_ids looks into', () => {
    expect(weightsOf(tinyGraph())).toEqual({ precision: 'fp32', vocabulary: tiny_words.length })
    expect(weightsOf(readFileSync(join(shipped_model.folder, 'model_int8.onnx')))).toMatchObject({ vocabulary: 165_686 })
    // Packed dims; a table behind a cast and a scale; one scale per tensor at run time.
    const table = bytes(5, [...bytes(1, [...varint(300), 4]), 2 * 8, 3, ...text(8, 't'), ...bytes(9, [1, 2])])
    const op = (name: string, inputs: string[], outputs: string[]) =>
      bytes(1, [...inputs.flatMap((one) => text(1, one)), ...outputs.flatMap((one) => text(2, one)), ...text(4, name)])
    const file = model(
      table,
      op('DequantizeLinear', ['t', 's'], ['f']),
      op('Cast', ['input_ids'], ['i']),
      op('Gather', ['f', 'i'], ['o']),
      op('DynamicQuantizeLinear', ['o'], ['q']),
    )
    expect(weightsOf(file)).toEqual({ precision: 'int8 dynamic', vocabulary: 300 })
    expect(weightsOf(model(op('Gather', ['x', 'y'], ['o'])))).toEqual({ precision: 'unknown', vocabulary: null })
  })
})
