/** The test double keeps the same laws as the real encoder, so that tests on it say something. */
import { embedderContract } from '../../ports/embedder.contract.ts'
import { memoryEmbedder } from './embedder.ts'

embedderContract('memory', async () => ({ embedder: memoryEmbedder() }), { exact: true, no_crash: 'it has no threads' })
embedderContract('memory, 384 dims', async () => ({ embedder: memoryEmbedder(384) }), {
  exact: true,
  no_crash: 'it has no threads',
})
