/** Row 64: requests that say one thing twice, or something else. */
import { buildHttp } from '../../../serve/http.ts'
import type { Row } from '../row.ts'

export const row: Row = {
  row: 64,
  name: 'HTTP: duplicate parameters, arrays for scalars, %00, encoded slashes, 100 KB id',
  answer: 'refuse at the edge',
  check: async () => {
    const user = 'k1.AAAAAAAAAAAAAAAAAAAAAA'
    const app = buildHttp({
      version: { version: '0', node: '0', mode: 'embedded', model_digest: null },
      metrics: { content_type: 'text/plain', text: async () => '' },
      dependencies: [],
      recommendations: async () => undefined,
    })
    const path = `/v1/recommendations/${user}`
    const urls = [
      `${path}?n=1&n=2`,
      `${path}?n[]=1`,
      `${path}?n[a]=1`,
      `${path}?__proto__=1`,
      `${path}%00`,
      '/v1/recommendations/..%2f..%2fmetrics',
      '/v1/recommendations/%E0%A4%A',
      '/v1/recommendations/alice@example.com',
      `${path}?n=1e9`,
      `${path}?placement=${'x'.repeat(1_000)}`,
    ]
    const wrong: string[] = []
    for (const url of urls) {
      const { statusCode } = await app.inject(url)
      if (statusCode !== 400) wrong.push(`${url.slice(0, 60)}: ${statusCode}`)
    }
    const long = await app.inject(`/v1/recommendations/k1.${'A'.repeat(100_000)}`)
    if (long.statusCode < 400 || long.statusCode >= 500) wrong.push(`an id of 100 KB: ${long.statusCode}`)
    await app.close()
    return wrong
  },
}
