/** Row 15: records inside records, 20,000 deep, and a tree of a million. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 15,
  name: 'Avro recursion 20k deep',
  answer: 'dead letter',
  records: ({ avro }) => {
    const list = { type: 'record', name: 'L', fields: [{ name: 'next', type: ['null', 'L'] }] }
    const wide = Array.from({ length: 1_900 }, (_, i) => ({ name: `n${i}`, type: 'null' }))
    const tree = { type: 'record', name: 'T', fields: [...['a', 'b'].map((name) => ({ name, type: ['null', 'T'] })), ...wide] }
    const grown = (levels: number): Buffer => {
      if (levels === 0) return Buffer.alloc(2)
      const branch = Buffer.concat([Buffer.from([2]), grown(levels - 1)])
      return Buffer.concat([branch, branch])
    }
    return [
      avro('20,000 deep', [['more', list, Buffer.concat([Buffer.alloc(20_000, 2), Buffer.from([0])])]], dead('limits.depth')),
      avro('20 deep', [['more', list, Buffer.concat([Buffer.alloc(20, 2), Buffer.from([0])])]], canonical()),
      avro('a tree 16 deep of records of 1,900 nulls', [['more', tree, grown(16)]], dead('limits.items')),
    ]
  },
}
