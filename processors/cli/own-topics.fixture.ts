/** Shipped platforms that read topics of one's own, so that runs on a shared broker do not meet. For tests and benches. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { shipped_platforms } from '../config/platforms.ts'

/** Copies maps into `folder` (then platforms.folder), their topics named `<prefix>source.<platform>.<kind>`. */
export const platformsWithOwnTopics = (folder: string, names: readonly string[], prefix: string): void => {
  for (const name of names) {
    const from = join(shipped_platforms, name)
    const to = join(folder, name)
    mkdirSync(to, { recursive: true })
    for (const file of readdirSync(from)) {
      const [kind, ...rest] = file.split('.')
      if (rest.join('.') !== 'yaml') continue
      if (kind === 'platform') copyFileSync(join(from, file), join(to, file))
      else writeFileSync(join(to, file), `topic: ${prefix}source.${name}.${kind}\n${readFileSync(join(from, file), 'utf8')}`)
    }
  }
}
