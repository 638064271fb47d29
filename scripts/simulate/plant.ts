/** Plants one bug into the sources while a process loads them: to be preloaded by `--import`, with the patch in the environment. */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { isMainThread } from 'node:worker_threads'
import type { Mutation } from '../../processors/simulate/mutation.ts'

/** What is planted; the name only serves messages. */
export type Patch = Pick<Mutation, 'file' | 'find' | 'replace'> & { readonly name?: string }

const variable = 'ENTREPOT_PLANT'
const processors = new URL('../../processors/', import.meta.url)
/** The exit status of a process whose patch does not fit the sources, so that this is not taken for a bug that was noticed. */
export const misfit_status = 78

/**
 * What to give `spawn(process.execPath, [...node_arguments, script], { env })` so that the child and its worker threads run with the
 * patch (not those whose code is given as text: `eval` preloads nothing). The child prints `planted NAME in FILE` to standard error in each thread that loads the file: a run without that line
 * has not tried the bug. It exits with `misfit_status` when `find` does not occur exactly once.
 */
export const planted = (
  patch: Patch,
  env: NodeJS.ProcessEnv = process.env,
): { readonly node_arguments: readonly string[]; readonly env: NodeJS.ProcessEnv } => ({
  node_arguments: ['--import', import.meta.url],
  env: { ...env, [variable]: JSON.stringify(patch) },
})

/** The text with the patch in it. Throws when `find` occurs never or more than once, or nothing would change. */
export const patched = (text: string, { file, find, replace }: Patch): string => {
  const count = find === '' ? 0 : text.split(find).length - 1
  if (count !== 1) throw new Error(`A patch of ${file} looks for ${JSON.stringify(find)}, which occurs ${count} times.`)
  if (find === replace) throw new Error(`A patch of ${file} changes nothing.`)
  // Not the string itself: replace() would read "$&" in it as a pattern.
  return text.replace(find, () => replace)
}

/** Patches the file when this thread loads it; the file on disk stays as it is. */
const plant = (patch: Patch): void => {
  const target = new URL(patch.file, processors)
  const source = patched(readFileSync(fileURLToPath(target), 'utf8'), patch)
  const { href } = pathToFileURL(fileURLToPath(target))
  registerHooks({
    load: (url, context, nextLoad) => {
      // A module may be asked for with a query, to have it anew.
      if (url.split(/[?#]/)[0] !== href) return nextLoad(url, context)
      process.stderr.write(`planted ${patch.name ?? 'a bug'} in ${patch.file}\n`)
      return { ...nextLoad(url, context), source, shortCircuit: true }
    },
  })
}

const given = process.env[variable]
if (given !== undefined)
  try {
    plant(JSON.parse(given) as Patch)
  } catch (error) {
    // A thread has the same patch and the same sources as its process, which has ended then.
    if (!isMainThread) throw error
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
    process.exit(misfit_status)
  }
