/**
 * An encoder whose vectors tell whose text they are: a listing of one shopper's own points along that shopper's axis, so that a
 * profile with weight on another's axis holds somebody else's event. It can be slow, down, and differ in the last bit by batch.
 */
import { Fault } from '../domain/fault.ts'
import type { Vector } from '../domain/vector.ts'
import type { Embedder, ModelCard } from '../ports/embedder.ts'
import type { Network } from './network.ts'
import type { Machine } from './scheduler.ts'
import type { Weather } from './weather.ts'

/** Axes of shoppers first, then the axes that all share. */
export const canary_axes = 8
export const shared_axes = 8
export const sim_dims = canary_axes + shared_axes
export const sim_model: ModelCard = { name: 'simulated', digest: '5ca1ab1e'.repeat(8), dims: sim_dims, tokens_max: 64 }

const timeout_ms = 3_000

/** `canary 3 …` along axis 3; everything else along four of the shared axes, chosen by the text. Exact in float32. */
export const simVector = (text: string): Vector => {
  const vector = new Float32Array(sim_dims)
  const own = /canary (\d+)/.exec(text)
  if (own !== null) {
    vector[Number(own[1]) % canary_axes] = 1
    return vector
  }
  let hash = 2166136261
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619) >>> 0
  for (let i = 0; i < 4; i++) vector[canary_axes + ((hash + i * (1 + 2 * ((hash >>> 8) % 4))) % shared_axes)] = 0.5
  return vector
}

export const simEncoder = (machine: Machine, network: Network, weather: Weather): Embedder => ({
  model: sim_model,
  embed: (texts) =>
    network.call<(Vector | Fault)[]>(
      machine,
      'embed',
      timeout_ms,
      () => new Fault('embedder.unavailable', 'The simulated encoder is too slow.'),
      (reply, refuse) => {
        if (weather.strikes('encoder_down'))
          return refuse(new Fault('embedder.unavailable', 'The simulated encoder has crashed.'))
        if (weather.strikes('encoder_slow')) return
        // One ulp more, depending on who else is in the batch: nobody may depend on computing a vector again.
        const noisy = weather.brings('encoder_noise') && texts.length % 2 === 1
        if (noisy) weather.struck('encoder_noise')
        reply(
          texts.map((text) => {
            if (text.includes('unembeddable')) return new Fault('embed.degenerate', 'The simulated encoder gave no number.')
            const vector = simVector(text)
            return noisy ? vector.map((x) => (x === 0 ? 0 : x - 2 ** -24)) : vector
          }),
        )
      },
    ),
  close: async () => undefined,
})
