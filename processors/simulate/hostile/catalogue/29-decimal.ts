/** Row 29: decimals in their bytes. */
import { avroString } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 29,
  name: 'decimal as raw bytes',
  answer: 'accept',
  records: ({ avro }) => {
    const decimal = { type: 'bytes', logicalType: 'decimal', precision: 6, scale: 2 }
    return [
      avro('123.45', [['price', decimal, avroString(Buffer.from([0x30, 0x39]))]], canonical({ price_minor: 12_345 })),
      avro('-0.05', [['price', decimal, avroString(Buffer.from([0xfb]))]], dead('semantics.price')),
      avro(
        'more digits than it may have',
        [['price', decimal, avroString(Buffer.from('7fffffff', 'hex'))]],
        dead('number.range'),
      ),
      avro('no bytes', [['price', decimal, avroString('')]], dead('decode.invalid')),
      avro(
        '1 MB of digits',
        [['price', { ...decimal, precision: 1_000 }, avroString(Buffer.alloc(900_000, 0x7f))]],
        dead('number.range'),
      ),
      avro('bytes without a logical type', [['price', 'bytes', avroString(Buffer.from([0x30, 0x39]))]], dead('map.type')),
    ]
  },
}
