/** Payloads by slot, kept column by column: small in memory, and quick to filter by without building an object. */
import type { Condition, Filter, Payload, PayloadValue } from '../../ports/vector-index.ts'
import { conditionHolds } from '../../ports/vector-semantics.ts'

/** Columns with at most this many texts (platform, category, currency) share each text between their slots. */
const shared_texts_max = 2_048

type Column = {
  readonly values: (PayloadValue | undefined)[]
  /** Texts seen; null once there are too many for sharing to pay. */
  shared: Map<string, string> | null
}

export type Payloads = {
  set(slot: number, payload: Payload): void
  clear(slot: number): void
  get(slot: number): Payload
  /** What `must` and `must_not` of the filter say of a slot. */
  accepts(filter: Filter): (slot: number) => boolean
}

export const openPayloads = (): Payloads => {
  const columns = new Map<string, Column>()
  /** Payloads that were asked for, by slot: what is found once is found again. */
  const built: (Payload | undefined)[] = []

  const clear = (slot: number): void => {
    if (slot < built.length) built[slot] = undefined
    for (const { values } of columns.values()) if (slot < values.length) values[slot] = undefined
  }

  const shared = (column: Column, value: PayloadValue): PayloadValue => {
    if (typeof value !== 'string' || column.shared === null) return value
    const known = column.shared.get(value)
    if (known !== undefined) return known
    if (column.shared.size >= shared_texts_max) column.shared = null
    else column.shared.set(value, value)
    return value
  }

  const test = (condition: Condition): ((slot: number) => boolean) => {
    const values = columns.get(condition.field)?.values
    if (values === undefined) return () => false
    if ('equals' in condition) {
      const wanted = condition.equals
      return (slot) => values[slot] === wanted
    }
    if ('any_of' in condition) {
      const wanted = new Set<PayloadValue | undefined>(condition.any_of)
      return (slot) => wanted.has(values[slot])
    }
    return (slot) => conditionHolds(condition, values[slot])
  }

  return {
    set(slot, payload) {
      clear(slot)
      for (const [field, value] of Object.entries(payload)) {
        let column = columns.get(field)
        if (column === undefined) {
          column = { values: [], shared: new Map() }
          columns.set(field, column)
        }
        while (column.values.length < slot) column.values.push(undefined)
        column.values[slot] = shared(column, value)
      }
    },
    clear,
    get(slot) {
      const known = built[slot]
      if (known !== undefined) return known
      const payload: Record<string, PayloadValue> = {}
      for (const [field, { values }] of columns) {
        const value = values[slot]
        if (value !== undefined) payload[field] = value
      }
      while (built.length < slot) built.push(undefined)
      built[slot] = Object.freeze(payload)
      return payload
    },
    accepts(filter) {
      const must = (filter.must ?? []).map(test)
      const must_not = (filter.must_not ?? []).map(test)
      return (slot) => {
        for (const holds of must) if (!holds(slot)) return false
        for (const holds of must_not) if (holds(slot)) return false
        return true
      }
    },
  }
}
