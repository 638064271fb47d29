/** Row 38: halves of surrogate pairs. */
import { canonical, dead, type Row } from '../row.ts'

export const row: Row = {
  row: 38,
  name: 'lone surrogate in JSON',
  answer: 'accept with a flag',
  records: ({ plain, id, click }) => [
    plain('in a title', `{"id":"${id()}","title":"a\\ud800b"}`, canonical({ title: 'a\ufffdb' })),
    plain('in an id', '{"id":"a\\udc00","title":"x"}', dead('decode.utf8')),
    plain('in a key', '{"id":"1","title":"x","\\udc00":1}', dead('decode.utf8')),
    plain('a whole pair', `{"id":"${id()}","title":"\\ud83d\\ude00"}`, canonical({ title: '😀' })),
    click('in a query', { query: 'a\ud800b' }, canonical({ query: 'a\ufffdb' })),
  ],
}
