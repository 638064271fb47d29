/** Puts beside the compiled code what it reads at run time: launcher, maps, schemas, the text encoder, package.json. */
import { cpSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
for (const path of [
  'package.json',
  'schemas',
  'processors/cli/entrepot.js',
  'processors/canonicalize/platforms',
  'processors/adapters/onnx/models',
])
  cpSync(`${root}${path}`, `${root}dist/${path}`, { recursive: true, filter: (from) => !/\.test\.ts$/u.test(from) })
