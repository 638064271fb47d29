/** Row 21: NaN and Infinity in binary formats. */
import { protoDouble } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 21,
  name: 'NaN or Infinity in an Avro or Protobuf double',
  answer: 'dead letter',
  records: ({ avro, protobuf }) => {
    const double = (value: number): Buffer => Buffer.from(Float64Array.of(value).buffer)
    const float = (value: number): Buffer => Buffer.from(Float32Array.of(value).buffer)
    return [
      avro('NaN as a price', [['price', 'double', double(Number.NaN)]], dead('number.nonfinite')),
      avro('Infinity in a field nobody reads', [['more', 'float', float(Number.POSITIVE_INFINITY)]], dead('number.nonfinite')),
      avro('-Infinity', [['price', 'double', double(Number.NEGATIVE_INFINITY)]], dead('number.nonfinite')),
      protobuf('NaN as a price', 'double price = 6;', protoDouble(6, Number.NaN), dead('number.nonfinite')),
      protobuf('Infinity as a price', 'double price = 6;', protoDouble(6, Number.POSITIVE_INFINITY), dead('number.nonfinite')),
    ]
  },
}
