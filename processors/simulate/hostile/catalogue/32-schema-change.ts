/** Row 32: a field renamed or removed, with and without a gate. */
import { openEmbeddedRegistry } from '../../../adapters/registry/embedded-registry.ts'
import { avroString } from '../../../adapters/registry/wire-bytes.ts'
import type { Fault } from '../../../domain/fault.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 32,
  name: 'field renamed or removed without default',
  answer: 'dead letter',
  records: ({ raw, framed, id, json }) => {
    const renamed = {
      format: 'AVRO',
      text: JSON.stringify({
        type: 'record',
        name: 'Thing',
        fields: [
          ['id', 'string'],
          ['name', 'string'],
        ].map(([name, type]) => ({ name, type })),
      }),
    } as const
    return [
      raw(
        'avro',
        'title is called name now',
        framed('avro', Buffer.concat([avroString(id()), avroString('A thing')]), renamed),
        dead('map.missing'),
      ),
      json('title is gone, and its schema says so', '{"id":"32"}', dead('map.missing'), '{"required":["id"]}'),
    ]
  },
  check: async () => {
    const registry = await openEmbeddedRegistry(null)
    const record = (...fields: readonly string[]) => ({
      format: 'AVRO' as const,
      text: JSON.stringify({ type: 'record', name: 'R', fields: fields.map((name) => ({ name, type: 'string' })) }),
    })
    await registry.setCompatibility('s', 'BACKWARD_TRANSITIVE')
    await registry.register('s', record('a'))
    const outcome = await registry.register('s', record('a', 'b')).then(
      () => 'registered',
      (error: Fault) => error.code,
    )
    return outcome === 'schema.incompatible' ? [] : [`a field without a default was ${outcome}`]
  },
}
