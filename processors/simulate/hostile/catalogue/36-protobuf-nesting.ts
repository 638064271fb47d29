/** Row 36: messages inside messages, 20,000 deep, and messages of many absent fields. */
import { protoBytes, protoTag, varint } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 36,
  name: 'Protobuf nesting 20k',
  answer: 'dead letter',
  records: ({ protobuf }) => {
    const nested = (levels: number): Buffer => {
      // From the inside out each level would copy all below it; lengths from the outside in do not.
      const lengths: number[] = [0]
      for (let i = 1; i < levels; i++) lengths.push(lengths.at(-1)! + 1 + varint(lengths.at(-1)!).length)
      return Buffer.concat(lengths.reverse().map((length) => Buffer.concat([protoTag(1, 2), varint(length)])))
    }
    const wide = Array.from({ length: 400 }, (_, i) => `repeated int32 f${i} = ${i + 1};`).join(' ')
    const recursive = 'N n = 7;---message N { N n = 1; }'
    return [
      protobuf('20,000 deep', recursive, protoBytes(7, nested(20_000)), dead('limits.depth')),
      protobuf('20 deep', recursive, protoBytes(7, nested(20)), canonical()),
      protobuf('groups 20,000 deep', '', Buffer.alloc(20_000, 0x7b), dead('limits.depth')),
      protobuf(
        '10,000 bytes that stand for two million fields',
        `repeated W w = 7;---message W { ${wide} }`,
        Buffer.concat(Array.from({ length: 5_000 }, () => protoBytes(7, ''))),
        dead('limits.items'),
      ),
    ]
  },
}
