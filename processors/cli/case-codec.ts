/** The codec of golden cases: each input is written with its platform's schema and read back, as it would be in production. */
import { openEmbeddedRegistry } from '../adapters/registry/embedded-registry.ts'
import { openSourceDecoder } from '../adapters/registry/source-decoder.ts'
import { openSourceEncoder } from '../adapters/registry/source-encoder.ts'
import type { CaseCodec } from '../canonicalize/cases.ts'
import { asFault } from '../domain/fault.ts'

/** A codec over a registry in memory. What a schema cannot hold comes back as the fault that its platform would meet. */
export const registryCodec = async (): Promise<CaseCodec> => {
  const registry = await openEmbeddedRegistry(null)
  const encoder = openSourceEncoder(registry)
  const decoder = openSourceDecoder(registry)
  return async ({ topic, format, schema, subject }, input) => {
    try {
      if (schema !== null && subject !== null) await registry.register(subject, schema)
      const [decoded] = await decoder.decode(topic, format, [await encoder.encode(topic, format, input)])
      return decoded!
    } catch (error) {
      const fault = asFault(error)
      if (fault.kind !== 'malformed') throw fault
      return fault
    }
  }
}
