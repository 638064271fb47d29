/** Resident memory of a process that holds the default encoder with two threads and has embedded a flood: started by scripts/bench/embed.ts. */
import { openOnnxEmbedder } from '../../../processors/adapters/onnx/embedder.ts'
import { systemClock } from '../../../processors/adapters/system/clock.ts'

const texts = Array.from(
  { length: 2_000 },
  (_, n) => `Stainless steel water bottle ${n}, vacuum insulated, ${'matte black '.repeat(n % 12)}`,
)
const embedder = await openOnnxEmbedder({ clock: systemClock, workers: 2 })
let most = 0
for (let round = 0; round < 2; round++) {
  await embedder.embed(texts)
  most = Math.max(most, process.memoryUsage.rss())
}
process.stdout.write(`${most}\n`)
await embedder.close()
