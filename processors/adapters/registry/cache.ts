/** Small caches of registry answers and compiled schemas: bounded, and one question at a time per key. */

/** Keeps the `capacity` entries that were used last. */
export type Recent<K, V> = { get(key: K): V | undefined; set(key: K, value: V): void; delete(key: K): void }

export const recent = <K, V>(capacity: number): Recent<K, V> => {
  const entries = new Map<K, V>()
  return {
    get(key) {
      const value = entries.get(key)
      if (value !== undefined) {
        entries.delete(key)
        entries.set(key, value)
      }
      return value
    },
    set(key, value) {
      entries.delete(key)
      entries.set(key, value)
      if (entries.size > capacity) entries.delete(entries.keys().next().value as K)
    },
    delete: (key) => entries.delete(key),
  }
}

/** Callers that ask for a key while it is being fetched share the one answer, and the one failure. */
export const singleFlight = <K, V>(fetch: (key: K) => Promise<V>): ((key: K) => Promise<V>) => {
  const flights = new Map<K, Promise<V>>()
  return (key) => {
    const under_way = flights.get(key)
    if (under_way !== undefined) return under_way
    const flight = fetch(key).finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }
}
