/** Row 49: links that no browser should follow. */
import { protoBytes } from '../../../adapters/registry/wire-bytes.ts'
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 49,
  name: 'URL javascript:, file:, 169.254.*, 100 KB',
  answer: 'accept with a flag',
  otherwise: 'Nothing here ever fetches a link, so an address of the link-local range is kept like any other.',
  records: ({ plain, protobuf }) => [
    ...[
      'javascript:alert(1)',
      'file:///etc/passwd',
      'data:text/html,x',
      'https://user:pass@example.com/',
      `https://example.com/${'x'.repeat(3_000)}`,
      'https://exa\nmple.com/',
    ].map((url) => plain(url.slice(0, 30), { url }, canonical({ url: null }, 'url.refused'))),
    plain('a link-local address', { url: 'http://169.254.169.254/latest' }, canonical({ url: 'http://169.254.169.254/latest' })),
    plain('100 KB', { url: `https://example.com/${'x'.repeat(100_000)}` }, dead('limits.string')),
    protobuf('in Protobuf', 'string url = 9;', protoBytes(9, 'javascript:alert(1)'), canonical({ url: null }, 'url.refused')),
  ],
}
