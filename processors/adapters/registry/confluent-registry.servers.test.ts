import { test } from '@jest/globals'
import { schemaRegistryContract } from '../../ports/schema-registry.contract.ts'
import { openConfluentRegistry } from './confluent-registry.ts'

const url = process.env['SCHEMA_REGISTRY_URL']

/** Apicurio's default level is an operator's setting (NONE), and it takes no subjects with a slash or only dots. */
const apicurio = url?.includes('/ccompat/') === true

if (url === undefined || url === '')
  test.skip('SchemaRegistry: Confluent API (no law was checked: SCHEMA_REGISTRY_URL is not set)', () => {})
else
  schemaRegistryContract(
    'Confluent API',
    async () => ({
      registry: await openConfluentRegistry({ url, timeout_ms: 10_000 }),
      reopen: () => openConfluentRegistry({ url, timeout_ms: 10_000 }),
      close: async () => {},
    }),
    apicurio
      ? {
          known: {
            'a subject is held to BACKWARD unless it is told otherwise': 'Apicurio starts with NONE; its operator sets the level',
          },
        }
      : {},
  )
