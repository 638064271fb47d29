/** The image encoder and the source of images, as the settings name them; nothing of either where they name none. */
import { openImageSource } from '../adapters/images/image-source.ts'
import { imageModelOf, readImageCard } from '../adapters/onnx/image-card.ts'
import { openImageEmbedder } from '../adapters/onnx/image-embedder.ts'
import type { Settings } from '../config/spec.ts'
import type { ReadPorts } from '../flow/processor.ts'
import type { ImageModelCard } from '../ports/image-embedder.ts'
import type { ImageSpace } from '../ports/vector-index.ts'
import type { TopologySettings } from '../topology.ts'

const hour_ms = 3_600_000

/** The configured image model's card, its weights unread; undefined where none is configured. Faults: model.missing, config.invalid. */
export const imageModelOfSettings = async ({ image_model }: Settings): Promise<ImageModelCard | undefined> =>
  image_model.folder === null ? undefined : imageModelOf(await readImageCard(image_model.folder))

/** What the topology is told of images. */
export const imageStagesOf = ({ image_model }: Settings, model: ImageModelCard | undefined): Pick<TopologySettings, 'images'> =>
  model === undefined
    ? {}
    : {
        images: {
          lane: model.digest.slice(0, 8),
          refetch_ms: image_model.refetch_hours * hour_ms,
          retry_ms: image_model.retry_hours * hour_ms,
        },
      }

/** What the index is told of images. */
export const imageSpaceOf = (model: ImageModelCard | undefined): { readonly images?: ImageSpace } =>
  model === undefined ? {} : { images: { dims: model.dims, model_digest: model.digest } }

export type OpenedImages = NonNullable<ReadPorts['images']> & { close(): Promise<void> }

/** Faults: model.missing, model.sha256, model.shape, config.invalid. */
export const openImages = async ({ image_model }: Settings): Promise<OpenedImages | undefined> => {
  const { folder, bytes_max, timeout_ms, per_host, allow_private } = image_model
  if (folder === null) return undefined
  const embedder = await openImageEmbedder({ folder })
  const source = openImageSource({ bytes_max, timeout_ms, per_host, allow_private })
  return {
    embedder,
    source,
    close: async () => {
      source.close()
      await embedder.close()
    },
  }
}
