/** Row 34: a field of another type than before. */
import { avroString } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 34,
  name: 'optional became required; price from int to string',
  answer: 'dead letter',
  records: ({ plain, json, avro }) => [
    plain('a price as a text', { price: '12.50' }, canonical({ price_minor: 1_250 })),
    plain('a price as an object', { price: { amount: 5 } }, dead('map.type')),
    plain('an object that calls itself minor units', { price: { minor_units: 5 } }, dead('map.type')),
    plain('a title as a list of objects', { title: [{ en: 'x' }] }, dead('map.type')),
    plain('an id as a boolean', { id: true }, dead('map.type')),
    plain('attributes as a text', { attributes: 'red' }, dead('map.type')),
    json('against its own schema', { price: '12.50' }, dead('schema.validation')),
    avro('a price as bytes', [['price', 'bytes', avroString('12')]], dead('map.type')),
  ],
}
