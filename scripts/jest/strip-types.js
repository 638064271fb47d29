/** Jest transform: the same type stripping that Node itself does, so that tests run the code that ships. */
import { createHash } from 'node:crypto'
import { stripTypeScriptTypes } from 'node:module'

export const process = (source, path) => ({ code: `${stripTypeScriptTypes(source)}\n//# sourceURL=${path}\n` })
export const getCacheKey = (source, path) =>
  createHash('sha256').update(globalThis.process.version).update(path).update(source).digest('hex')
