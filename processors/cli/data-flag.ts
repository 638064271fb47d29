/** `--data FOLDER`: another data folder than the settings', with the settings that lie in it. */
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { loadSettings } from '../config/load.ts'
import type { Settings } from '../config/spec.ts'
import type { Context } from './frame.ts'

export const data_flag = {
  data: {
    type: 'text',
    value: 'FOLDER',
    doc: 'A data folder of embedded mode, such as the demo’s; an entrepot.yaml in it is read.',
  },
} as const

type Given = Pick<Context, 'env' | 'settings'> & { readonly flags: Readonly<Record<string, unknown>> }

/** The settings in force; with --data those of that folder, embedded, whatever the environment says of servers. */
export const settingsWithData = (context: Given): Settings => {
  const { data, config, set } = context.flags as { data?: string; config?: string; set?: readonly string[] }
  if (data === undefined) return context.settings()
  const own = join(data, 'entrepot.yaml')
  return loadSettings({
    file: config ?? (existsSync(own) ? own : undefined),
    env: context.env,
    set: [...(set ?? []), 'mode=embedded', `data.folder=${resolve(data)}`],
  }).settings
}
