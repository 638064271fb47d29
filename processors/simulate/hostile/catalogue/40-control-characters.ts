/** Row 40: NUL, line breaks and terminal escapes. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 40,
  name: 'NUL, newline or ANSI escape in strings',
  answer: 'accept',
  records: ({ plain, json, click }) => [
    plain('in a title', { title: 'a\u0000b\nc\u001b[31md' }, canonical({ title: 'ab c[31md' }, 'text')),
    plain(
      'in a description, where line breaks stay',
      { description: 'a\u0000\r\nb\u001b[2J' },
      canonical({ description: 'a\nb[2J' }, 'text'),
    ),
    click('in a query', { query: 'tea\u001b]0;owned\u0007' }, canonical({ query: 'tea]0;owned' })),
    // The dead letter's headers name places in schemas: the judge looks for control characters in each of them.
    json(
      'in the name of a schema’s field',
      { 'a\n\u001b[31m': 5 },
      dead('schema.validation'),
      JSON.stringify({ properties: { 'a\n\u001b[31m': { type: 'string' } } }),
    ),
    json(
      'in a schema that is refused',
      {},
      dead('schema.hostile'),
      JSON.stringify({ properties: { a: { $ref: 'x\n\u001b[31m' } } }),
    ),
  ],
}
