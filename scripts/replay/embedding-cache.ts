/** Vectors of texts, kept in a file between runs: the same model gives a text the same vector, so a second run need not wait for it. */
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { digestOf } from '../../processors/domain/ids.ts'
import { fromBytes, toBytes, type Vector } from '../../processors/domain/vector.ts'
import type { Embedder, ModelCard } from '../../processors/ports/embedder.ts'

const digest_bytes = 32

/**
 * An encoder that answers from the file what it can and appends what it had to compute. `open` is called when something must be
 * computed. A row cut short by a killed process is skipped, with what follows it up to the next whole read.
 */
export const cachedEmbedder = (
  model: ModelCard,
  path: string,
  open: () => Promise<Embedder>,
): Embedder & { computed(): number } => {
  const row_bytes = digest_bytes + model.dims * 4
  const known = new Map<string, Vector>()
  if (existsSync(path)) {
    const bytes = readFileSync(path)
    for (let at = 0; at + row_bytes <= bytes.length; at += row_bytes)
      known.set(bytes.toString('hex', at, at + digest_bytes), fromBytes(bytes.subarray(at + digest_bytes, at + row_bytes)))
    // A tail that is no whole row would shift every later one: it is filled up with a row that no text has.
    const tail = bytes.length % row_bytes
    if (tail > 0) appendFileSync(path, Buffer.alloc(row_bytes - tail))
  } else mkdirSync(dirname(path), { recursive: true })
  let inner: Promise<Embedder> | undefined
  let computed = 0
  return {
    model,
    computed: () => computed,
    embed: async (texts) => {
      const keys = texts.map((text) => digestOf(model.digest, text))
      const fresh = new Map<string, string>()
      for (const [i, key] of keys.entries()) if (!known.has(key)) fresh.set(key, texts[i]!)
      const faults = new Map<string, Vector | Error>()
      if (fresh.size > 0) {
        inner ??= open()
        const results = await (await inner).embed([...fresh.values()])
        const rows: Buffer[] = []
        for (const [i, key] of [...fresh.keys()].entries()) {
          const result = results[i]!
          if (result instanceof Error) faults.set(key, result)
          else {
            known.set(key, result)
            rows.push(Buffer.from(key, 'hex'), toBytes(result))
          }
        }
        computed += fresh.size
        appendFileSync(path, Buffer.concat(rows))
      }
      return keys.map((key) => (known.get(key) ?? faults.get(key)!) as Vector)
    },
    close: async () => {
      if (inner !== undefined) await (await inner).close()
    },
  }
}
