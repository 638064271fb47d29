/** Row 53: a click that overtakes its product. */
import { clicksBeforeProducts } from '../market.ts'
import type { Row } from '../row.ts'

export const row: Row = {
  row: 53,
  name: 'click before product create',
  answer: 'accept',
  check: async (bench) => {
    const { letters, profiles } = await clicksBeforeProducts(bench, { product_comes: true })
    return letters.length === 0 && profiles === 1 ? [] : [`dead letters ${letters.join() || 'none'}, profiles ${profiles}`]
  },
}
