/** Holds the house rules that a reader relies on: who imports whom, which words stand where, which files are read by someone. */

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'

const root = dirname(fileURLToPath(import.meta.url))
const repository = dirname(root)

/** Folder -> folders it may import, and whether it may use npm packages and node: modules. ARCHITECTURE.md prints this table. */
const layers: Record<string, { may: readonly string[]; npm: boolean }> = {
  domain: { may: [], npm: false },
  ports: { may: ['domain'], npm: false },
  flow: { may: ['domain', 'ports'], npm: false },
  telemetry: { may: ['domain'], npm: true },
  config: { may: ['domain', 'flow', 'ports', 'canonicalize'], npm: true },
  canonicalize: { may: ['domain', 'flow', 'ports'], npm: false },
  embed: { may: ['domain', 'flow', 'ports'], npm: false },
  index: { may: ['domain', 'flow', 'ports'], npm: false },
  learn: { may: ['domain', 'flow', 'ports'], npm: false },
  recommend: { may: ['domain', 'flow', 'ports'], npm: false },
  runtime: { may: ['domain', 'flow', 'ports', 'telemetry'], npm: false },
  adapters: { may: ['domain', 'ports'], npm: true },
  serve: { may: ['domain', 'flow', 'ports', 'telemetry'], npm: true },
  cli: {
    may: [
      'domain',
      'ports',
      'flow',
      'telemetry',
      'config',
      'canonicalize',
      'embed',
      'index',
      'learn',
      'recommend',
      'runtime',
      'adapters',
      'serve',
      '.',
    ],
    npm: true,
  },
  simulate: {
    may: [
      'domain',
      'ports',
      'flow',
      'config',
      'canonicalize',
      'embed',
      'index',
      'learn',
      'recommend',
      'runtime',
      'adapters',
      'serve',
      'telemetry',
      '.',
    ],
    npm: true,
  },
  '.': { may: ['domain', 'flow', 'ports', 'canonicalize', 'embed', 'index', 'learn', 'recommend'], npm: false },
}

/** Pure node modules that any layer may use: they compute, they do not reach out. */
const pure_modules = ['node:crypto']

const banned: readonly { word: RegExp; instead: string }[] = [
  { word: /\bDate\.now\(/, instead: 'the Clock port, or batch.now_ms' },
  { word: /\bnew Date\(\)/, instead: 'the Clock port, or batch.now_ms' },
  { word: /\bMath\.random\(/, instead: 'the Random port' },
  { word: /\bset(Timeout|Interval|Immediate)\(/, instead: 'Clock.sleep' },
  { word: /\bprocess\.env\b/, instead: 'config/' },
  { word: /\bconsole\./, instead: 'events, or the cli’s terminal' },
]
const banned_free = ['adapters', 'cli', 'serve', 'config', 'telemetry']

type Source = { path: string; layer: string; text: string; test: boolean }

const sources: readonly Source[] = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => ({
    path,
    layer: path.includes('/') ? path.slice(0, path.indexOf('/')) : '.',
    text: readFileSync(join(root, path), 'utf8'),
    test: /\.(test|contract|fixture)\.ts$/.test(path),
  }))

const importsOf = (text: string): string[] =>
  [
    ...text.matchAll(
      /^\s*(?:import|export)\s[^'"]*?from\s+['"]([^'"]+)['"]|^\s*import\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
    ),
  ].map((found) => found[1] ?? found[2] ?? found[3]!)

describe('who imports whom', () => {
  test('every folder of processors/ is in the table', () => {
    const unknown = [...new Set(sources.map((source) => source.layer))].filter((layer) => layers[layer] === undefined)
    expect(unknown).toEqual([])
  })

  test('imports follow the table', () => {
    const wrong: string[] = []
    for (const { path, layer, text, test } of sources) {
      if (test) continue
      const rule = layers[layer]!
      for (const name of importsOf(text)) {
        if (name.startsWith('.')) {
          const target = relative(root, join(root, dirname(path), name))
          const to = target.includes('/') ? target.slice(0, target.indexOf('/')) : '.'
          if (to !== layer && !rule.may.includes(to))
            wrong.push(`${path} may not import ${to}/ (allowed: ${rule.may.join(', ') || 'nothing'})`)
          if (!existsSync(join(root, target))) wrong.push(`${path} imports ${name}, which does not exist`)
        } else if (!rule.npm && !pure_modules.includes(name)) wrong.push(`${path} may not import ${name}: put it behind a port`)
      }
    }
    expect(wrong).toEqual([])
  })
})

test('time, chance, the environment and the terminal come in as arguments', () => {
  const wrong = sources
    .filter((source) => !source.test && !banned_free.includes(source.layer))
    .flatMap(({ path, text }) =>
      banned
        .filter(({ word }) => word.test(text))
        .map(({ word, instead }) => `${path}: ${word.source} is banned here, use ${instead}`),
    )
  expect(wrong).toEqual([])
})

test('every file says in its first line what it is for, and is used', () => {
  const imported = new Set(
    sources.flatMap(({ path, text }) =>
      importsOf(text)
        .filter((name) => name.startsWith('.'))
        .map((name) => relative(root, join(root, dirname(path), name))),
    ),
  )
  const scripts = readdirSync(join(repository, 'scripts'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readFileSync(join(repository, 'scripts', path), 'utf8'))
  const all = [...sources.map((source) => source.text), ...scripts].join('\n')
  const wrong = sources.flatMap(({ path, text, test }) => [
    ...(test || /^(#!.*\n)?\/\*\*/.test(text) ? [] : [`${path} does not open with a doc comment that says what it is for`]),
    ...(test || imported.has(path) || all.includes(path.split('/').at(-1)!) ? [] : [`${path} is used by nobody`]),
  ])
  expect(wrong).toEqual([])
})

test('no default exports, enums, namespaces or decorators', () => {
  const wrong = sources
    .filter(
      ({ text, test }) => !test && /^\s*export default\b|^\s*(export )?(const )?enum\b|^\s*(export )?namespace\b/m.test(text),
    )
    .map(({ path }) => path)
  expect(wrong).toEqual([])
})
