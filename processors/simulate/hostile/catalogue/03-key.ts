/** Row 3: keys that are missing, endless or no text. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 3,
  name: 'null, empty or 10 KB key',
  answer: 'dead letter',
  otherwise: 'Ids are read from values, so a source record needs no key: without one it is taken, always from partition 0.',
  records: ({ raw, good }) => [
    raw('plain', 'no key', good('plain'), canonical(), { key: null }),
    raw('avro', 'an empty key', good('avro'), canonical(), { key: Buffer.alloc(0) }),
    raw('json', 'a key of 10 KB', good('json'), dead('key.too_long'), { key: Buffer.alloc(10_240, 0x61) }),
    raw('protobuf', 'a key that is not UTF-8', good('protobuf'), dead('decode.utf8'), { key: Buffer.from([0xff, 0xfe]) }),
    raw('clicks', 'a key of 1 KiB', good('clicks'), canonical(), { key: Buffer.alloc(1_024, 0x61) }),
  ],
}
