/** Row 37: bytes that are no UTF-8, in texts and in ids. */
import { avroString, protoBytes, zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 37,
  name: 'invalid UTF-8',
  answer: 'accept with a flag',
  records: ({ plain, protobuf, avro, raw, framed, id }) => {
    const bad = Buffer.from([0xff, 0xfe])
    const json = (before: string, after: string): Buffer => Buffer.concat([Buffer.from(before), bad, Buffer.from(after)])
    return [
      plain('in a title', json(`{"id":"${id()}","title":"x`, 'y"}'), canonical({ title: 'x\ufffd\ufffdy' })),
      plain('in an id', json('{"id":"x', '","title":"x"}'), dead('decode.utf8')),
      plain('in a key', json('{"id":"1","title":"x","', '":1}'), dead('decode.utf8')),
      raw(
        'avro',
        'in an Avro id',
        framed('avro', Buffer.concat([avroString(bad), avroString('x'), Buffer.alloc(9)])),
        dead('decode.utf8'),
      ),
      avro(
        'in an Avro map’s key',
        [
          [
            'attributes',
            { type: 'map', values: 'string' },
            Buffer.concat([zigzag(1), avroString(bad), avroString('x'), zigzag(0)]),
          ],
        ],
        dead('decode.utf8'),
      ),
      protobuf('in a Protobuf text', 'string brand = 4;', protoBytes(4, bad), canonical({ brand: '\ufffd\ufffd' })),
    ]
  },
}
