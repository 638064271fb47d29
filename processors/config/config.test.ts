// biome-ignore-all lint/suspicious/noTemplateCurlyInString: ${VAR} is the notation of the configuration file.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { Ajv } from 'ajv'
import fc from 'fast-check'
import { parse as parseYaml } from 'yaml'
import { Fault } from '../domain/fault.ts'
import { config_example, configHelp, configJsonSchema, configMarkdown, settingsInForce } from './describe.ts'
import { type Env, type Loaded, loadSettings, required } from './load.ts'
import { editDistance, nearest } from './nearest.ts'
import { substitute } from './raw.ts'
import { Secret } from './secret.ts'
import { all_settings, type Settings } from './spec.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-config-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const load = (yaml: string | null, env: Env = {}, set: readonly string[] = []): Loaded => {
  if (yaml !== null) writeFileSync(join(folder, 'entrepot.yaml'), yaml)
  return loadSettings({ env, set, working_folder: folder })
}

/** The fault that loading ends with. */
const refused = (yaml: string | null, env: Env = {}, set: readonly string[] = []): Fault => {
  try {
    load(yaml, env, set)
  } catch (error) {
    if (error instanceof Fault) return error
    throw error
  }
  throw new Error('The settings were accepted.')
}

const secretFile = (text: string, mode = 0o600): string => {
  const path = join(folder, 'secret')
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

describe('where settings come from', () => {
  test('without anything, every setting has its default', () => {
    const { settings, file, origins, warnings } = load(null)
    expect(settings.http).toEqual({ enabled: true, host: '127.0.0.1', port: 8088, insecure: false })
    expect(settings.mode).toBe('embedded')
    expect(file).toBeNull()
    expect(warnings).toEqual([])
    expect(new Set(origins.values())).toEqual(new Set(['default']))
    const type_check: Settings['learn']['half_life_days'] = settings.learn.half_life_days
    expect(type_check).toBe(14)
  })

  test('default, file, habitual variable, own variable, --set: each over the one before', () => {
    const yaml = 'http:\n  port: 1\n'
    expect(load(yaml).settings.http.port).toBe(1)
    expect(load(yaml, { PORT: '2' }).settings.http.port).toBe(2)
    expect(load(yaml, { PORT: '2', ENTREPOT_HTTP_PORT: '3' }).settings.http.port).toBe(3)
    const all = load(yaml, { PORT: '2', ENTREPOT_HTTP_PORT: '3' }, ['http.port=4', 'http.port=5'])
    expect(all.settings.http.port).toBe(5)
    expect(all.origins.get('http.port')).toBe('--set')
    expect(load(yaml).origins.get('http.port')).toBe('entrepot.yaml:2')
    expect(load(yaml, { PORT: '2' }).origins.get('http.port')).toBe('PORT')
  })

  test('the file is the one named, then ENTREPOT_CONFIG; a named file must be there', () => {
    writeFileSync(join(folder, 'a.yaml'), 'recommend: { count: 3 }')
    writeFileSync(join(folder, 'b.yaml'), 'recommend: { count: 4 }')
    const at = (file: string | undefined, env: Env) =>
      loadSettings({ file, env, working_folder: folder }).settings.recommend.count
    expect(at('a.yaml', { ENTREPOT_CONFIG: 'b.yaml' })).toBe(3)
    expect(at(undefined, { ENTREPOT_CONFIG: 'b.yaml' })).toBe(4)
    expect(() => at('c.yaml', {})).toThrow(/c\.yaml cannot be read/u)
  })

  test('the names that environments hold already are read', () => {
    const { settings } = load(null, {
      KAFKA_BOOTSTRAP_SERVERS: 'k1:9092, k2:9093',
      KAFKA_SASL_MECHANISM: 'SCRAM-SHA-512',
      KAFKA_SASL_USERNAME: 'u',
      KAFKA_SASL_PASSWORD: 'p',
      KAFKA_SSL_ENABLED: 'true',
      SCHEMA_REGISTRY_URL: 'http://registry:8081/',
      SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO: 'a:b',
      QDRANT_URL: 'http://qdrant:6333',
      QDRANT_API_KEY: 'key',
      PORT: '80',
      LOG_LEVEL: 'warn',
    })
    expect(settings.kafka.brokers).toEqual(['k1:9092', 'k2:9093'])
    expect(settings.mode).toBe('servers')
    expect(settings.kafka.sasl.mechanism).toBe('scram-sha-512')
    expect(settings.kafka.sasl.password?.reveal()).toBe('p')
    expect(settings.registry.url).toBe('http://registry:8081')
    expect(settings.registry.basic_auth?.reveal()).toBe('a:b')
    expect(settings.qdrant.api_key?.reveal()).toBe('key')
    expect(settings.http.port).toBe(80)
    expect(settings.log.level).toBe('warn')
  })

  test('KAFKA_BROKERS goes before KAFKA_BOOTSTRAP_SERVERS; an empty variable counts as unset; IPv6 brokers are brokers', () => {
    const url = { SCHEMA_REGISTRY_URL: 'http://r' }
    expect(load(null, { ...url, KAFKA_BROKERS: 'a:1', KAFKA_BOOTSTRAP_SERVERS: 'b:2' }).settings.kafka.brokers).toEqual(['a:1'])
    expect(load(null, { ...url, KAFKA_BROKERS: '', KAFKA_BOOTSTRAP_SERVERS: 'b:2' }).settings.kafka.brokers).toEqual(['b:2'])
    expect(load(null, { ...url, KAFKA_BROKERS: '[::1]:9092' }).settings.kafka.brokers).toEqual(['[::1]:9092'])
    expect(load(null, { ...url, KAFKA_BROKERS: '["a:1","b:2"]' }).settings.kafka.brokers).toEqual(['a:1', 'b:2'])
  })

  test('tables are merged by key, through all layers', () => {
    const yaml = 'learn:\n  weights: { PURCHASE: 10 }\nplatforms:\n  shops:\n    shopify: { currency: EUR, market: DE }\n'
    const { settings } = load(yaml, { ENTREPOT_LEARN_WEIGHTS: 'dismiss=-9' }, [
      'platforms.shops.shopify.currency=USD',
      'platforms.shops.woo.currency=PLN',
      'platforms.shops.shopify/a.myshopify.com.currency=SEK',
      'learn.weights.VIEW=2',
    ])
    expect(settings.learn.weights).toMatchObject({ PURCHASE: 10, DISMISS: -9, VIEW: 2, CLICK: 1.5 })
    expect(settings.platforms.shops).toEqual({
      shopify: { currency: 'USD', market: 'DE' },
      woo: { currency: 'PLN' },
      'shopify/a.myshopify.com': { currency: 'SEK' },
    })
  })

  test('paths in the file are relative to the file', () => {
    mkdirSync(join(folder, 'etc'))
    writeFileSync(join(folder, 'etc', 'c.yaml'), 'data: { folder: ../data }\nplatforms: { folder: /abs }')
    const { settings } = loadSettings({ file: join(folder, 'etc', 'c.yaml'), env: {} })
    expect(settings.data.folder).toBe(resolve(folder, 'data'))
    expect(settings.platforms.folder).toBe('/abs')
    expect(settings.model.store).toBe(`${resolve(folder, 'data')}/models`)
    writeFileSync(join(folder, 'etc', 'd.yaml'), 'model: { store: ../models }')
    expect(loadSettings({ file: join(folder, 'etc', 'd.yaml'), env: {} }).settings.model.store).toBe(resolve(folder, 'models'))
  })

  test('an id keeps all its digits, a text its zeros', () => {
    const yaml = 'platforms:\n  shops:\n    a: { merchant_id: 788032119674292922123, language: 007 }\n'
    expect(load(yaml).settings.platforms.shops['a']).toEqual({ merchant_id: '788032119674292922123', language: '007' })
  })

  test('settings are frozen through and through', () => {
    const { settings } = load(null)
    expect(() => Object.assign(settings.http, { port: 1 })).toThrow(TypeError)
    expect(() => (settings.model.providers as string[]).push('cuda')).toThrow(TypeError)
  })
})

describe('${VAR:default}', () => {
  test('takes the variable, else the default; an empty one counts as unset', () => {
    const yaml = 'http: { port: "${P:8080}" }\nlog:\n  level: ${L:debug}\nregistry:\n  url: ${R:}\n'
    expect(load(yaml, { P: '99' }).settings.http.port).toBe(99)
    const { settings } = load(yaml, { P: '' })
    expect(settings.http.port).toBe(8080)
    expect(settings.log.level).toBe('debug')
    expect(settings.registry.url).toBeNull()
  })

  test('a default may hold colons; $${ is literal; what a variable holds is not substituted again', () => {
    expect(substitute('${A:http://x:1}/${B}', { B: '${C}' }, 'f:1')).toBe('http://x:1/${C}')
    expect(substitute('$${A}', { A: 'no' }, 'f:1')).toBe('${A}')
  })

  test('what a variable holds cannot become a key of the file', () => {
    const evil = 'x\nhttp:\n  insecure: true'
    const { settings } = load('kafka:\n  client_id: ${ID}\n', { ID: evil })
    expect(settings.kafka.client_id).toBe(evil)
    expect(settings.http.insecure).toBe(false)
  })

  test('a variable without value and default is named with its line', () => {
    const fault = refused('log:\n  level: ${NOPE}\n')
    expect(fault.code).toBe('config.missing')
    expect(fault.message).toContain('entrepot.yaml:2: the environment has no NOPE')
  })
})

describe('what nobody reads is refused', () => {
  test('an unknown key, with line and nearest name', () => {
    const fault = refused('http:\n  port: 1\n  prot: 2\n')
    expect(fault.code).toBe('config.unknown_key')
    expect(fault.kind).toBe('misconfigured')
    expect(fault.message).toBe('entrepot.yaml:3: nobody reads http.prot; did you mean http.port?')
  })

  test('a key in the wrong section, an unknown section, a whole section as a value', () => {
    expect(refused('half_life_days: 3').message).toContain('did you mean learn.half_life_days?')
    expect(refused('kafak: { brokers: [] }').message).toContain('did you mean kafka?')
    expect(refused('http: 8080').message).toBe('entrepot.yaml:1: http is a section: it takes keys, not a value.')
    expect(refused('zzzzzzzzzz: 1').message).toContain('There are mode, data, kafka')
  })

  test('__proto__ and constructor are keys like any other: unknown', () => {
    expect(refused('__proto__: { polluted: true }').code).toBe('config.unknown_key')
    expect(refused('http: { constructor: 1 }').code).toBe('config.unknown_key')
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })

  test('an unknown ENTREPOT_ variable; but not those that Kubernetes sets for a service of that name', () => {
    expect(refused(null, { ENTREPOT_KAKFA_BROKERS: 'a:1' }).message).toContain('did you mean ENTREPOT_KAFKA_BROKERS?')
    const kubernetes = {
      ENTREPOT_SERVICE_HOST: '10.0.0.1',
      ENTREPOT_SERVICE_PORT_HTTP: '80',
      ENTREPOT_PORT: 'tcp://10.0.0.1:80',
      ENTREPOT_PORT_80_TCP_ADDR: '10.0.0.1',
    }
    expect(load(null, kubernetes).settings.http.port).toBe(8088)
  })

  test('an unknown --set, and one without =', () => {
    expect(refused(null, {}, ['recomend.count=3']).message).toContain('did you mean recommend.count?')
    expect(refused(null, {}, ['http.port']).message).toContain('write --set name=value')
    expect(refused(null, {}, ['http.port.x=1']).code).toBe('config.unknown_key')
  })

  test('a key given twice, and YAML that is none', () => {
    expect(refused('http: { port: 1 }\nhttp: { port: 2 }').message).toMatch(/^entrepot\.yaml:2: /u)
    expect(refused('http: [').code).toBe('config.invalid')
    expect(refused('http: { port: ${PORT:1} }').message).toContain('a reference needs quotes: "${VAR}"')
    expect(refused('a: &a 1\nb: *a').code).toBe('config.invalid')
  })
})

describe('every value is checked', () => {
  const cases: readonly [yaml: string, says: string][] = [
    ['http: { port: eight }', 'http.port takes an integer, not "eight"'],
    ['http: { port: 70000 }', 'http.port takes 0 to 65535, not 70000'],
    ['http: { port: 1.5 }', 'http.port takes an integer'],
    ['http: { port: [1] }', 'http.port takes an integer'],
    ['http: { insecure: yes }', 'http.insecure takes true or false, not "yes"'],
    ['log: { level: inof }', 'did you mean info?'],
    ['kafka: { brokers: [localhost] }', 'kafka.brokers takes host:port, not "localhost"'],
    ['model: { providers: [gpu] }', 'model.providers takes cpu, cuda'],
    ['model: { name: ../x }', 'model.name takes letters, digits'],
    ['model: { name: x, folder: y }', 'model.name and model.folder exclude each other'],
    ['registry: { url: localhost:8081 }', 'registry.url takes an http or https URL'],
    ['registry: { url: "ftp://u:hunter2@x" }', 'not "ftp://***@x"'],
    ['learn: { weights: { BUY: 1 } }', 'learn.weights takes VIEW, VIEW_LIST'],
    ['learn: { weights: { VIEW: 1000 } }', 'learn.weights.VIEW takes -100 to 100'],
    ['canonicalize: { rates: { USD: 0 } }', 'canonicalize.rates.USD takes more than 0'],
    ['canonicalize: { rates: { usd: 1 } }', 'canonicalize.rates takes ISO 4217 codes'],
    ['platforms: { shops: { shopify: EUR } }', 'platforms.shops.shopify takes a map of settings'],
    ['platforms: { shops: { Shopify: {} } }', 'in lower case'],
    ['canonicalize: { rates_as_of: 2026-13-01 }', 'takes a day, YYYY-MM-DD'],
    ['identity: { key_version: "K 1" }', '1 to 8 lower-case letters and digits'],
    ['limits: { backoff_max_ms: 20 }', 'limits.backoff_max_ms must be at least limits.backoff_first_ms'],
    ['limits: { drain_s: 90 }', 'kafka.rebalance_timeout_ms must be more than limits.drain_s'],
    ['mode: servers', 'kafka.brokers is needed in servers mode'],
    ['kafka: { sasl: { mechanism: plain } }', 'kafka.sasl.password are needed'],
  ]
  test.each(cases)('%s', (yaml, says) => {
    const fault = refused(yaml)
    expect(fault.kind).toBe('misconfigured')
    expect(fault.message).toContain(says)
  })

  test('all problems are told at once', () => {
    const fault = refused('http: { port: x }\nlog: { level: y }\nfoo: 1\n', { ENTREPOT_BAR: '1' })
    expect(fault.detail['problems']).toBe(4)
    expect(fault.message.split('\n')).toHaveLength(5)
  })

  test('numbers may be grouped by underscores', () => {
    expect(load('limits: { in_flight_records_max: 20_000 }').settings.limits.in_flight_records_max).toBe(20_000)
  })

  test('no text makes the loader throw anything but a fault', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.constantFrom(...all_settings), (text, { name }) => {
        try {
          loadSettings({ env: {}, set: [`${name}=${text}`], working_folder: folder })
        } catch (error) {
          if (!(error instanceof Fault) || error.kind !== 'misconfigured') throw error
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('secrets', () => {
  const canary = 'canary-3f9d2c71-do-not-print-me-anywhere'

  test('come from files: in the YAML, in variables, in --set; the last line break is not part of them', () => {
    const path = secretFile(`${canary}\n`)
    for (const loaded of [
      load('identity:\n  secret_file: secret\n'),
      load(null, { ENTREPOT_IDENTITY_SECRET_FILE: path }),
      load(null, {}, [`identity.secret_file=${path}`]),
    ])
      expect(loaded.settings.identity.secret?.reveal()).toBe(canary)
    expect(load(null, { QDRANT_API_KEY_FILE: path }).settings.qdrant.api_key?.reveal()).toBe(canary)
  })

  test.each([0o644, 0o604, 0o620, 0o666])('a file of mode %o is refused with the remedy', (mode) => {
    const path = secretFile(canary, mode)
    const fault = refused(null, { ENTREPOT_IDENTITY_SECRET_FILE: path })
    expect(fault.message).toContain(`chmod 600 ${path}`)
    expect(fault.message).not.toContain(canary)
  })

  test('a group may read it, as Kubernetes mounts it', () => {
    expect(load(null, { ENTREPOT_IDENTITY_SECRET_FILE: secretFile(canary, 0o440) }).settings.identity.secret).toBeInstanceOf(
      Secret,
    )
  })

  test('a file that is missing, empty or too large is refused', () => {
    expect(refused(null, { QDRANT_API_KEY_FILE: join(folder, 'none') }).message).toContain('not there')
    expect(refused(null, { QDRANT_API_KEY_FILE: secretFile('\n') }).message).toContain('empty')
    expect(refused(null, { QDRANT_API_KEY_FILE: secretFile('x'.repeat(70_000)) }).message).toContain('64 KiB')
  })

  test('are refused in --set, because every process sees arguments', () => {
    const fault = refused(null, {}, [`qdrant.api_key=${canary}`])
    expect(fault.message).toContain('qdrant.api_key_file=PATH')
    expect(fault.message).not.toContain(canary)
  })

  test('given both ways in one place are refused; in clear in the file they warn', () => {
    secretFile(canary)
    expect(refused(`qdrant:\n  api_key: a\n  api_key_file: secret\n`).message).toContain('keep one')
    expect(load(`qdrant:\n  api_key: ${canary}\n`).warnings).toEqual([
      'entrepot.yaml:2: qdrant.api_key stands in the file in clear; name a file with qdrant.api_key_file instead.',
    ])
    expect(load('qdrant:\n  api_key: ${KEY}\n', { KEY: canary }).warnings).toEqual([])
  })

  test('print as *** wherever they are printed', () => {
    const loaded = load(null, { QDRANT_API_KEY: canary, QDRANT_URL: `http://user:${canary}@qdrant:6333` })
    const secret = loaded.settings.qdrant.api_key!
    const prints = [
      String(secret),
      `${secret}`,
      JSON.stringify({ secret }),
      inspect(secret, { depth: 9, showHidden: true }),
      inspect(loaded.settings.qdrant.api_key),
      Object.prototype.toString.call(secret),
      JSON.stringify(settingsInForce(loaded)),
    ]
    for (const print of prints) expect(print).not.toContain(canary)
    expect(settingsInForce(loaded)).toContainEqual({ name: 'qdrant.api_key', value: '***', origin: 'QDRANT_API_KEY' })
    expect(settingsInForce(loaded)).toContainEqual({ name: 'qdrant.url', value: 'http://***@qdrant:6333', origin: 'QDRANT_URL' })
  })

  test('a short identity secret is refused without being shown', () => {
    const fault = refused(null, { ENTREPOT_IDENTITY_SECRET: 'hunter2' })
    expect(fault.message).toContain('openssl rand')
    expect(fault.message).not.toContain('hunter2')
  })

  test('required names the setting and its variables', () => {
    const { settings } = load(null)
    expect(() => required(settings.identity.secret, 'identity.secret')).toThrow(/ENTREPOT_IDENTITY_SECRET_FILE/u)
    expect(required(settings.http.port, 'http.port')).toBe(8088)
  })
})

describe('the spec itself', () => {
  test('every variable name belongs to one setting', () => {
    const seen = new Map<string, string>()
    for (const { name, env, setting } of all_settings)
      for (const variable of [...env, ...(setting.type === 'secret' ? env.map((one) => `${one}_FILE`) : [])]) {
        expect([variable, seen.get(variable)]).toEqual([variable, undefined])
        seen.set(variable, name)
      }
  })

  test('every default and every example passes its own checks', () => {
    for (const { name, setting } of all_settings) {
      expect(setting.doc).toMatch(/\.$|`$/u)
      if (setting.example === undefined) continue
      const extra = setting.type === 'secret' ? [] : [`${name}=${setting.example}`]
      const needs = name === 'kafka.brokers' ? { SCHEMA_REGISTRY_URL: 'http://r' } : {}
      expect(() => load(null, needs, extra)).not.toThrow()
    }
    for (const { name, setting } of all_settings)
      if (typeof setting.default === 'number') expect(() => load(null, {}, [`${name}=${setting.default}`])).not.toThrow()
  })

  test('the page, the help and the schema name every setting', () => {
    const page = configMarkdown()
    const help = configHelp()
    for (const { name, env } of all_settings) {
      expect(page).toContain(`| \`${name}\` |`)
      expect(page).toContain(`\`${env[0]}\``)
      expect(help).toContain(`${name}  (`)
    }
    expect(configHelp('kafka.sasl').split('\n\n')).toHaveLength(3)
  })

  test('the JSON schema is a schema: it takes the example and what the loader takes, and refuses unknown keys', () => {
    const valid = new Ajv({ strict: true, allowUnionTypes: true }).compile(configJsonSchema())
    expect([valid(parseYaml(config_example)), valid.errors]).toEqual([true, null])
    expect(load(config_example).settings.mode).toBe('servers')
    expect(valid({ http: { port: '${PORT:1}' }, identity: { secret_file: '/run/secret' }, learn: null })).toBe(true)
    for (const wrong of [
      { htpp: {} },
      { http: { prot: 1 } },
      { http: { port: 'x' } },
      { http: { port: -1 } },
      { log: { level: 'loud' } },
    ])
      expect(valid(wrong)).toBe(false)
  })
})

describe('nearest', () => {
  test('finds typing slips and parts of words, and nothing for strangers', () => {
    expect(nearest('prot', ['host', 'port'])).toBe('port')
    expect(nearest('KAFKA', ['kafka', 'data'])).toBe('kafka')
    expect(nearest('linger', ['records_max', 'linger_ms'])).toBe('linger_ms')
    expect(nearest('xyzzy', ['host', 'port'])).toBeUndefined()
    expect(nearest('a', [])).toBeUndefined()
  })

  test('the distance is a distance', () => {
    const word = fc.string({ maxLength: 8 })
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a))
        expect(editDistance(a, b) === 0).toBe(a === b)
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length))
      }),
    )
    expect(editDistance('prot', 'port')).toBe(1)
  })
})
