/** Row 42: names that reach an object’s prototype. */
import { avroString, protoBytes, zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 42,
  name: '__proto__, constructor and prototype keys',
  answer: 'dead letter',
  records: ({ plain, json, avro, protobuf, raw, framed }) => {
    const names = ['__proto__', 'constructor', 'prototype']
    const map = { type: 'map', values: 'string' }
    const entry = (name: string): Buffer => Buffer.concat([zigzag(1), avroString(name), avroString('x'), zigzag(0)])
    return names.flatMap((name) => [
      plain(`${name} as a key`, `{"id":"1","title":"x","${name}":{"admin":true}}`, dead('json.proto')),
      json(`${name} deep inside`, `{"id":"1","title":"x","attributes":{"a":[{"${name}":1}]}}`, dead('json.proto')),
      avro(`${name} as a key of a map`, [['attributes', map, entry(name)]], dead('json.proto')),
      avro(`${name} as a field`, [[name, 'string', avroString('x')]], dead('schema.hostile')),
      protobuf(
        `${name} as a key of a map`,
        'map<string, string> attributes = 10;',
        protoBytes(10, Buffer.concat([protoBytes(1, name), protoBytes(2, 'x')])),
        dead('json.proto'),
      ),
      raw(
        'protobuf',
        `${name} as a field`,
        framed('protobuf', Buffer.from([0, 10, 1, 65]), {
          format: 'PROTOBUF',
          text: `syntax = "proto3"; message T { string ${name} = 1; }`,
        }),
        dead('schema.hostile'),
      ),
    ])
  },
}
