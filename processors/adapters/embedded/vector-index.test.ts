/** The laws of VectorIndex on the embedded adapter: with an exact scan, and with lists from the first few points on. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenedIndex } from '../../ports/vector-index.contract.ts'
import { vectorIndexContract } from '../../ports/vector-index.contract.ts'
import { openEmbeddedVectorIndex } from './vector-index.ts'

const newFolder = (): string => mkdtempSync(join(tmpdir(), 'entrepot-vectors-'))

const opener =
  (exact_rows_max: number) =>
  async (dims: number, folder: string = newFolder()): Promise<OpenedIndex> => {
    const { index, admin } = await openEmbeddedVectorIndex({ folder, dims, model_digest: 'd'.repeat(64), exact_rows_max })
    return {
      index,
      admin,
      async close() {
        await admin.close()
        rmSync(folder, { recursive: true })
      },
      async reopen(again) {
        await admin.close()
        return opener(exact_rows_max)(again, folder)
      },
    }
  }

vectorIndexContract('embedded, exact scan', (dims) => opener(20_000)(dims))
vectorIndexContract('embedded, lists from 20 points on', (dims) => opener(20)(dims))
