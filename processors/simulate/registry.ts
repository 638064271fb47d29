/** The schema registry as a server far away: slow, down, asked for ids it does not know, holding one hostile schema. */
import { Fault } from '../domain/fault.ts'
import type { RegisteredSchema, SchemaRegistry, SubjectVersion } from '../ports/schema-registry.ts'
import type { Network, Serve } from './network.ts'
import type { Machine } from './scheduler.ts'
import type { Weather } from './weather.ts'

export type SimSchema = RegisteredSchema & { readonly subjects: readonly string[] }

const timeout_ms = 800

/** `schemas` by id; nothing can be registered through it. */
export const simRegistry = (
  machine: Machine,
  network: Network,
  weather: Weather,
  schemas: ReadonlyMap<number, SimSchema>,
): SchemaRegistry => {
  const down = () => new Fault('registry.unavailable', 'The simulated registry does not answer.')
  const ask = <T>(answer: () => T): Promise<T> => {
    const serve: Serve<T> = (reply, refuse) => {
      if (weather.strikes('registry_down')) return refuse(down())
      // An answer later than anybody waits for.
      if (weather.strikes('registry_slow')) return
      reply(answer())
    }
    return network.call(machine, 'registry', timeout_ms, down, serve)
  }
  const readOnly = async (): Promise<never> => {
    throw new Fault('registry.unavailable', 'The simulated registry takes no schemas.')
  }
  const of = (subject: string): SubjectVersion[] =>
    [...schemas.values()]
      .filter((schema) => schema.subjects.includes(subject))
      .map((schema, i) => ({ ...schema, subject, version: i + 1 }))
  return {
    register: readOnly,
    setCompatibility: readOnly,
    byId: (id) => ask(() => schemas.get(id)),
    latest: (subject) => ask(() => of(subject).at(-1)),
    version: (subject, version) => ask(() => of(subject)[version - 1]),
    subjectsOf: (id) => ask(() => schemas.get(id)?.subjects ?? []),
    subjects: () => ask(() => [...new Set([...schemas.values()].flatMap(({ subjects }) => subjects))]),
    compatible: () => ask(() => ({ compatible: true, reasons: [] })),
    ping: () => ask(() => undefined),
  }
}
