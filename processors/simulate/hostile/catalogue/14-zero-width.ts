/** Row 14: six bytes that stand for a billion items. */
import { zigzag } from '../../../adapters/registry/wire-bytes.ts'
import { dead, type Row } from '../row.ts'

export const row: Row = {
  row: 14,
  name: 'Avro zero-width array or map bomb (6 bytes)',
  answer: 'dead letter',
  records: ({ raw, framed, avro }) => {
    const bomb = Buffer.from('808080800800', 'hex')
    const bytes_of = (count: number, each: number): Buffer =>
      Buffer.concat([zigzag(count), Buffer.alloc(count * each), zigzag(0)])
    const nulls = Array.from({ length: 1_990 }, (_, i) => ({ name: `n${i}`, type: 'null' }))
    const wide = { type: 'record', name: 'Wide', fields: [{ name: 'b', type: 'boolean' }, ...nulls] }
    return [
      raw(
        'avro',
        'a list of nulls',
        framed('avro', bomb, { format: 'AVRO', text: '{"type":"array","items":"null"}' }),
        dead('schema.hostile'),
      ),
      avro('a list of nulls inside a record', [['more', { type: 'array', items: 'null' }, bomb]], dead('schema.hostile')),
      avro(
        'a list of empty records',
        [['more', { type: 'array', items: { type: 'record', name: 'E', fields: [] } }, bomb]],
        dead('schema.hostile'),
      ),
      avro(
        'a list of fixed of no bytes',
        [['more', { type: 'array', items: { type: 'fixed', name: 'F', size: 0 } }, bomb]],
        dead('schema.hostile'),
      ),
      avro('a list of ints that claims 2^30', [['more', { type: 'array', items: 'int' }, bomb]], dead('limits.items')),
      avro('a map that claims 2^30', [['more', { type: 'map', values: 'int' }, bomb]], dead('limits.items')),
      avro(
        '9,000 bytes that stand for 18 million nulls',
        [['more', { type: 'array', items: wide }, bytes_of(9_000, 1)]],
        dead('limits.items'),
      ),
    ]
  },
}
