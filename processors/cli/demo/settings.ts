/** The demo's folder: made fresh, with the settings that the commands find there afterwards. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadSettings } from '../../config/load.ts'
import type { Settings } from '../../config/spec.ts'
import { Fault } from '../../domain/fault.ts'
import { market_rates, market_shops } from './shops.ts'

const mark = '# Made by `entrepot demo`, which makes the whole folder anew.'

const yaml = (): string =>
  [
    mark,
    'mode: embedded',
    'data: { folder: . }',
    'platforms:',
    `  enabled: [${Object.keys(market_shops).join(', ')}]`,
    '  shops:',
    ...Object.entries(market_shops).map(
      ([platform, values]) =>
        `    ${platform}: { ${Object.entries(values)
          .map(([name, value]) => `${name}: ${JSON.stringify(value)}`)
          .join(', ')} }`,
    ),
    'canonicalize:',
    `  rates: { ${Object.entries(market_rates)
      .map(([currency, rate]) => `${currency}: ${rate}`)
      .join(', ')} }`,
    "  rates_as_of: '2026-11-01'",
    '# Minutes; so short that the demo can show an interaction whose product never comes.',
    'learn: { join_wait_minutes: 0.05 }',
    '# Small batches, so that a slow machine shows progress too.',
    'stages: { embed: { records_max: 32, linger_ms: 20 } }',
    'log: { level: warn }',
    '',
  ].join('\n')

/** Empties the folder if a demo made it, refuses any other that holds something, and writes the settings into it. */
export const makeDemoFolder = (folder: string): Settings => {
  const file = join(folder, 'entrepot.yaml')
  if (existsSync(folder) && readdirSync(folder).length > 0) {
    if (!existsSync(file) || !readFileSync(file, 'utf8').startsWith(mark))
      throw new Fault('config.invalid', `${folder} holds something that no demo made: give another with --data.`)
    rmSync(folder, { recursive: true })
  }
  mkdirSync(folder, { recursive: true })
  writeFileSync(file, yaml())
  // Nothing of the user's environment: the demo is the same everywhere.
  return loadSettings({ file, env: {} }).settings
}
