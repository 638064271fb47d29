/** Row 44: markup and formulas in a title. */
import { protoBytes } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, type Row } from '../row.ts'

export const row: Row = {
  row: 44,
  name: 'HTML, JS or a CSV formula in a title',
  answer: 'accept',
  records: ({ plain, protobuf }) => [
    ...[
      '<script>alert(1)</script>',
      '<img src=x onerror=alert(1)>',
      "=HYPERLINK('http://x.example','x')",
      '{{7*7}}',
      "'; DROP TABLE items; --",
    ].map((title) => plain(title, { title }, canonical({ title }))),
    plain('entities are resolved once', { title: '&amp;lt;b&amp;gt;' }, canonical({ title: '&lt;b&gt;' }, 'text')),
    protobuf('in Protobuf', 'string brand = 4;', protoBytes(4, '<b onmouseover=x>'), canonical({ brand: '<b onmouseover=x>' })),
  ],
}
