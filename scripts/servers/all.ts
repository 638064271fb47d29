/** Kafka, a schema registry and Qdrant together, as far as this machine can start them. */

import { whyNoJava } from './java.ts'
import { startKafka } from './kafka.ts'
import { startQdrant } from './qdrant.ts'
import { startRegistry } from './registry.ts'

/** The variables by which programs and tests find the servers. */
export type ServerName = 'KAFKA_BROKERS' | 'SCHEMA_REGISTRY_URL' | 'QDRANT_URL'

export type Running = {
  readonly address: string
  readonly pids: readonly number[]
  /** Folders that may be removed once the server has stopped. */
  readonly folders: readonly string[]
  stop(): Promise<void>
}

/** A server that runs, or why it does not. */
export type Outcome = { readonly name: ServerName; readonly title: string; readonly running?: Running; readonly missing?: string }

const titles: Readonly<Record<ServerName, string>> = {
  KAFKA_BROKERS: 'Apache Kafka',
  SCHEMA_REGISTRY_URL: 'Apicurio Registry',
  QDRANT_URL: 'Qdrant',
}

const starters: Readonly<Record<ServerName, (background: boolean) => Promise<Running | string>>> = {
  KAFKA_BROKERS: async (background) => {
    const kafka = await startKafka({ background })
    return { address: kafka.brokers, pids: kafka.pids(), folders: [kafka.data_dir], stop: kafka.stop }
  },
  SCHEMA_REGISTRY_URL: async (background) => {
    const registry = await startRegistry({ background })
    return { address: registry.url, pids: [registry.pid], folders: [registry.folder], stop: registry.stop }
  },
  QDRANT_URL: async (background) => {
    const qdrant = await startQdrant({ background })
    if (qdrant === undefined) return 'no `qdrant` binary on PATH. Put one there, or set QDRANT_URL to a server that runs.'
    return { address: qdrant.url, pids: [qdrant.pid], folders: [], stop: qdrant.stop }
  },
}

/** Starts what is asked for, side by side; never throws for one of them. `progress` gets a line for each. */
export const startServers = async (
  names: readonly ServerName[],
  options: { readonly background: boolean; readonly progress: (line: string) => void },
): Promise<readonly Outcome[]> => {
  const no_java = names.some((name) => name !== 'QDRANT_URL') ? await whyNoJava() : undefined
  return Promise.all(
    names.map(async (name): Promise<Outcome> => {
      const title = titles[name]
      const began_ms = performance.now()
      const running =
        name !== 'QDRANT_URL' && no_java !== undefined ? no_java : await starters[name](options.background).catch(String)
      if (typeof running === 'string') {
        options.progress(`${title}: not started: ${running}`)
        return { name, title, missing: running }
      }
      options.progress(`${title}: ${running.address} after ${((performance.now() - began_ms) / 1000).toFixed(1)} s`)
      return { name, title, running }
    }),
  )
}
