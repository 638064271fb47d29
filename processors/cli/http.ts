/** The HTTP side of a running process: what it depends on, what it measures, what it answers. */
import { Fault } from '../domain/fault.ts'
import type { Recommendation } from '../domain/recommendation.ts'
import { placeName } from '../domain/record.ts'
import { type Dependency, type HttpServer, serveHttp } from '../serve/http.ts'
import type { Log } from '../telemetry/log.ts'
import type { Telemetry } from '../telemetry/metrics.ts'
import type { Exposition } from '../telemetry/prometheus.ts'
import { openLists } from './lists.ts'
import type { River } from './river.ts'

/** Ready means: every stage asked for here runs, no partition waits, and what the stages read answers. */
const dependenciesOf = (river: River): readonly Dependency[] => [
  { name: 'log', check: async () => void (await (await river.world().log()).listTopics()) },
  { name: 'registry', check: async () => (await river.world().registry()).ping() },
  { name: 'index', check: async () => void (await (await river.world().index()).describe()) },
  {
    name: 'stages',
    check: async () => {
      const [refused] = river.refused()
      if (refused !== undefined) throw refused
      const waiting = river.status().find((task) => task.state !== 'running')
      if (waiting !== undefined)
        throw new Fault(
          'log.unavailable',
          `${waiting.stage} on ${placeName(waiting.input)} is ${waiting.state}: ${waiting.reason ?? ''}`,
        )
    },
  },
]

export const openHttp = async (
  river: River,
  options: { readonly telemetry: Telemetry & Exposition; readonly log: Log; readonly version: string },
): Promise<HttpServer> => {
  const world = river.world()
  const { settings, topics } = world
  const serde = await (await world.serdes()).of<Recommendation>(topics.recommendations.name, topics.recommendations.schema)
  const lists = openLists(await world.log(), topics.recommendations.name, serde)
  return serveHttp(
    {
      version: {
        version: options.version,
        node: process.version,
        mode: settings.mode,
        get model_digest() {
          return river.world().model.digest
        },
      },
      metrics: options.telemetry,
      telemetry: options.telemetry,
      log: options.log,
      dependencies: dependenciesOf(river),
      placement: settings.recommend.placement,
      recommendations: lists.latest,
    },
    settings.http,
  )
}
