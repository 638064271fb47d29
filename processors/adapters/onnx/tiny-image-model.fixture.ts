/** For tests: an image encoder that ONNX Runtime really runs; its three numbers are the mean red, green and blue of the picture. */
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import protobuf from 'protobufjs'

const field = (id: number, type: string, rule?: 'repeated') => ({ id, type, ...(rule === undefined ? {} : { rule }) })

/** The part of onnx.proto that is written here. */
const onnx = protobuf.Root.fromJSON({
  nested: {
    Attribute: {
      fields: { name: field(1, 'string'), i: field(3, 'int64'), ints: field(8, 'int64', 'repeated'), type: field(20, 'int32') },
    },
    Node: {
      fields: {
        input: field(1, 'string', 'repeated'),
        output: field(2, 'string', 'repeated'),
        opType: field(4, 'string'),
        attribute: field(5, 'Attribute', 'repeated'),
      },
    },
    Dimension: { fields: { dimValue: field(1, 'int64'), dimParam: field(2, 'string') } },
    Shape: { fields: { dim: field(1, 'Dimension', 'repeated') } },
    TensorType: { fields: { elemType: field(1, 'int32'), shape: field(2, 'Shape') } },
    Type: { fields: { tensorType: field(1, 'TensorType') } },
    ValueInfo: { fields: { name: field(1, 'string'), type: field(2, 'Type') } },
    Graph: {
      fields: {
        node: field(1, 'Node', 'repeated'),
        name: field(2, 'string'),
        input: field(11, 'ValueInfo', 'repeated'),
        output: field(12, 'ValueInfo', 'repeated'),
      },
    },
    OperatorSet: { fields: { domain: field(1, 'string'), version: field(2, 'int64') } },
    Model: {
      fields: { irVersion: field(1, 'int64'), graph: field(7, 'Graph'), opsetImport: field(8, 'OperatorSet', 'repeated') },
    },
  },
})

const float32 = 1
const infoOf = (name: string, dims: readonly (number | string)[]) => ({
  name,
  type: {
    tensorType: {
      elemType: float32,
      shape: { dim: dims.map((dim) => (typeof dim === 'number' ? { dimValue: dim } : { dimParam: dim })) },
    },
  },
})

const size = 16

/** Writes image-model.json and its weights into `folder`; `card` overwrites fields of the card. */
export const writeTinyImageModel = (folder: string, card: Readonly<Record<string, unknown>> = {}): void => {
  const type = onnx.lookupType('Model')
  const bytes = type
    .encode(
      type.fromObject({
        irVersion: 8,
        opsetImport: [{ domain: '', version: 13 }],
        graph: {
          name: 'tiny',
          node: [
            {
              opType: 'ReduceMean',
              input: ['pixel_values'],
              output: ['image_embeds'],
              attribute: [
                { name: 'axes', ints: [2, 3], type: 7 },
                { name: 'keepdims', i: 0, type: 2 },
              ],
            },
          ],
          input: [infoOf('pixel_values', ['n', 3, size, size])],
          output: [infoOf('image_embeds', ['n', 3])],
        },
      }),
    )
    .finish()
  writeFileSync(join(folder, 'tiny.onnx'), bytes)
  writeFileSync(
    join(folder, 'image-model.json'),
    JSON.stringify({
      name: 'tiny-image',
      model: { name: 'tiny.onnx', sha256: createHash('sha256').update(bytes).digest('hex') },
      dims: 3,
      input: 'pixel_values',
      output: 'image_embeds',
      height: size,
      width: size,
      mean: [0, 0, 0],
      deviation: [1, 1, 1],
      ...card,
    }),
  )
}
