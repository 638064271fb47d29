/** A Qdrant that acknowledges a write and completes it never: who believes it has lost a point. Exits with 1 when the adapter does. */
import { createServer } from 'node:http'
import { openQdrantIndex } from '../../processors/adapters/qdrant/vector-index.ts'
import { Fault } from '../../processors/domain/fault.ts'

const server = createServer((_, response) => {
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ result: { operation_id: 1, status: 'acknowledged' }, status: 'ok', time: 0 }))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as { port: number }
const { index, admin } = openQdrantIndex({
  url: `http://127.0.0.1:${port}`,
  collection: 'storm',
  dims: 2,
  model_digest: '0'.repeat(64),
  tries_max: 2,
  retry_ms: 1,
})
try {
  await index.write([{ space: 'items', id: 'a', vector: Float32Array.of(1, 0), payload: {} }], 1)
  process.stdout.write('seed 1: lost write: a write that was acknowledged and never completed was believed\n')
  process.exitCode = 1
} catch (error) {
  if (!(error instanceof Fault) || error.code !== 'index.unavailable') throw error
} finally {
  await admin.close()
  server.close()
}
