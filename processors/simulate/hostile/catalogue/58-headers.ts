/** Row 58: headers without end. */
import type { Header } from '../../../domain/record.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 58,
  name: '1,000 headers, 1 MB header, duplicates, binary',
  answer: 'accept',
  otherwise: 'A record keeps its headers; a dead letter keeps the first 64 of 16 KiB.',
  records: ({ raw, good }) => {
    const thousand: readonly Header[] = Array.from({ length: 1_000 }, (_, i) => [`h${i}`, Buffer.from([i & 0xff])])
    const megabyte: readonly Header[] = [['large', Buffer.alloc(1 << 20)]]
    const twice: readonly Header[] = [
      ['trace', Buffer.from('1')],
      ['trace', Buffer.from('2')],
      ['bytes', Buffer.from([0xff, 0, 0xfe])],
    ]
    const inherited: readonly Header[] = ['constructor', 'toString', '__proto__'].map((name) => [name, Buffer.from(name)])
    const sets = { thousand, megabyte, twice, inherited }
    return Object.entries(sets).flatMap(([name, headers]) => [
      raw('plain', `${name} on a good record`, good('plain'), canonical(), { headers }),
      raw('plain', `${name} on a bad one`, Buffer.from('{'), dead('json.syntax'), {
        headers: name === 'megabyte' ? [] : headers,
      }),
    ])
  },
}
