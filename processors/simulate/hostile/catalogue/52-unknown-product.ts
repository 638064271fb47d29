/** Row 52: a click on what was never published. */
import { clicksBeforeProducts } from '../market.ts'
import type { Row } from '../row.ts'

export const row: Row = {
  row: 52,
  name: 'click on an unknown product',
  answer: 'dead letter',
  check: async (bench) => {
    const { letters, profiles } = await clicksBeforeProducts(bench, { product_comes: false })
    return letters.join() === 'join.missing' && profiles === 0
      ? []
      : [`dead letters ${letters.join() || 'none'}, profiles ${profiles}`]
  },
}
