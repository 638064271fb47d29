/** State in memory: a map of values, and its keys in order. */
import type { StateStore } from '../../ports/state-store.ts'

const chunk_keys_max = 512

/** A sorted set of strings in code-unit order, as chunks of bounded length: an insertion moves at most one chunk. */
const sortedKeys = () => {
  let chunks: string[][] = []

  /** Index of the chunk that holds or would hold the key. */
  const chunkOf = (key: string): number => {
    let low = 0
    let high = chunks.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (chunks[middle]![0]! <= key) low = middle
      else high = middle - 1
    }
    return low
  }
  /** First index in the chunk whose key is not smaller. */
  const indexIn = (chunk: readonly string[], key: string): number => {
    let low = 0
    let high = chunk.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (chunk[middle]! < key) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    add: (key: string) => {
      if (chunks.length === 0) {
        chunks.push([key])
        return
      }
      const at = chunkOf(key)
      const chunk = chunks[at]!
      chunk.splice(indexIn(chunk, key), 0, key)
      if (chunk.length > chunk_keys_max) chunks.splice(at, 1, chunk.slice(0, chunk.length / 2), chunk.slice(chunk.length / 2))
    },
    delete: (key: string) => {
      const at = chunkOf(key)
      const chunk = chunks[at]!
      chunk.splice(indexIn(chunk, key), 1)
      if (chunk.length === 0) chunks.splice(at, 1)
    },
    clear: () => {
      chunks = []
    },
    *from(start: string): Generator<string> {
      if (chunks.length === 0) return
      let at = chunkOf(start)
      let index = indexIn(chunks[at]!, start)
      for (; at < chunks.length; at++, index = 0) {
        const chunk = chunks[at]!
        for (; index < chunk.length; index++) yield chunk[index]!
      }
    },
  }
}

/** An empty store. Values are copied in, so that a small value does not keep its batch alive. */
export const memoryStateStore = (): StateStore => {
  const values = new Map<string, Buffer>()
  const keys = sortedKeys()
  return {
    get: (key) => values.get(key),
    entries: (prefix, limit) => {
      const found: (readonly [string, Buffer])[] = []
      if (limit <= 0) return found
      for (const key of keys.from(prefix)) {
        if (!key.startsWith(prefix)) break
        found.push([key, values.get(key)!])
        if (found.length === limit) break
      }
      return found
    },
    apply: (changes) => {
      for (const { key, value } of changes) {
        if (value === null) {
          if (values.delete(key)) keys.delete(key)
          continue
        }
        if (!values.has(key)) keys.add(key)
        values.set(key, Buffer.from(value))
      }
    },
    clear: () => {
      values.clear()
      keys.clear()
    },
    size: () => values.size,
  }
}
