/** The grammar processors/topology.ts is written in. */
import { Fault } from '../domain/fault.ts'
import type { Processor } from './processor.ts'
import type { SourceBytes, SourceTopic, Topic } from './topic.ts'

/** How a stage gathers a batch: whichever bound is reached first. */
export type BatchBounds = { readonly records_max: number; readonly bytes_max: number; readonly linger_ms: number }

/** One processor between its topics. Types are erased here; `from().run().to()` has checked them. */
export type Stage = {
  readonly processor: Processor<unknown, unknown>
  /** A list of platform topics, or one of ours. */
  readonly from: { readonly sources: readonly SourceTopic[] } | { readonly topic: Topic<unknown> }
  readonly to: readonly Topic<unknown>[]
  readonly bounds: BatchBounds
  /** Which generation of vectors it belongs to, part of its group's name; absent where it belongs to none, or to the first. */
  readonly lane?: string
}

export type Topology = { readonly name: string; readonly stages: readonly Stage[]; readonly dead_letters: Topic<unknown> }

type Runs<I> = {
  run<R>(processor: Processor<I, R>, bounds: BatchBounds): { to(...topics: readonly Topic<unknown>[]): Stage }
}

const runs = <I>(from: Stage['from']): Runs<I> => ({
  run: (processor, bounds) => ({
    to: (...topics) => ({
      processor: processor as Processor<unknown, unknown>,
      from,
      to: topics as readonly Topic<unknown>[],
      bounds,
    }),
  }),
})

/** Starts a stage at one of our topics; the processor must take exactly its values. */
export const from = <V>(topic: Topic<V>): Runs<V> => runs<V>({ topic })

/** Starts a stage at platform topics, read as bytes. */
export const fromSources = (sources: readonly SourceTopic[]): Runs<SourceBytes> => runs<SourceBytes>({ sources })

/** Names the whole and refuses two stages of one name. */
export const define = (name: string, stages: readonly Stage[], dead_letters: Topic<unknown>): Topology => {
  const names = new Set<string>()
  for (const stage of stages) {
    if (names.has(stage.processor.name))
      throw new Fault('config.invalid', `Two stages are named ${stage.processor.name}: name each one differently.`)
    names.add(stage.processor.name)
  }
  return { name, stages, dead_letters }
}

/** What the groups of a lane's stages begin with. */
export const groupPrefix = (name: string, lane: string | undefined): string =>
  lane === undefined || lane === '' ? name : `${name}.${lane}`

/** The topics a stage reads, by name. */
export const inputsOf = (stage: Stage): readonly string[] =>
  'topic' in stage.from ? [stage.from.topic.name] : stage.from.sources.map((source) => source.name)

/** Every topic of ours, in order of first appearance, dead letters last. */
export const topicsOf = (topology: Topology): readonly Topic<unknown>[] => {
  const seen = new Map<string, Topic<unknown>>()
  for (const stage of topology.stages) {
    if ('topic' in stage.from) seen.set(stage.from.topic.name, stage.from.topic)
    for (const topic of stage.to) if (!seen.has(topic.name)) seen.set(topic.name, topic)
  }
  seen.set(topology.dead_letters.name, topology.dead_letters)
  return [...seen.values()]
}
