import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { systemClock } from '../system/clock.ts'
import { seededRandom } from '../system/random.ts'
import { type KafkaOptions, kafkaConfig, kafkaSettings } from './options.ts'

const secret = { reveal: () => 'hunter2' }
const options = (more: Partial<KafkaOptions>): KafkaOptions => ({
  brokers: ['kafka-1:9092'],
  client_id: 'test',
  clock: systemClock,
  random: seededRandom(1),
  ...more,
})
const config = (more: Partial<KafkaOptions>) => kafkaConfig(options(more), kafkaSettings(options(more)))

describe('credentials', () => {
  test.each(['plain', 'scram-sha-256', 'scram-sha-512'] as const)('%s takes user and password', (mechanism) => {
    expect(config({ sasl: { mechanism, username: 'app', password: secret } }).sasl).toEqual({
      mechanism,
      username: 'app',
      password: 'hunter2',
    })
    expect(() => config({ sasl: { mechanism, username: 'app', password: null } })).toThrow(
      expect.objectContaining({ code: 'config.invalid' }),
    )
  })

  test('oauthbearer asks for a token each time', async () => {
    let calls = 0
    const { sasl } = config({ sasl: { mechanism: 'oauthbearer', token: async () => `token-${++calls}` } })
    const provider = (sasl as { oauthBearerProvider: () => Promise<{ value: string }> }).oauthBearerProvider
    expect([await provider(), await provider()]).toEqual([{ value: 'token-1' }, { value: 'token-2' }])
    expect(() => config({ sasl: { mechanism: 'oauthbearer' } })).toThrow(expect.objectContaining({ code: 'config.invalid' }))
  })

  test('no mechanism, no credentials', () => {
    expect(config({ sasl: { mechanism: null, username: null, password: null } })).not.toHaveProperty('sasl')
  })

  test('a fault about them holds none of them', () => {
    try {
      config({ sasl: { mechanism: 'plain', username: null, password: secret } })
      throw new Error('accepted')
    } catch (error) {
      expect(inspect(error, { depth: 5 })).not.toContain('hunter2')
      expect(error).toMatchObject({ code: 'config.invalid' })
    }
  })
})

describe('encryption', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'entrepot-kafka-options-'))
    writeFileSync(join(folder, 'ca.pem'), 'CA')
    writeFileSync(join(folder, 'cert.pem'), 'CERT')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  test('certificates are always checked', () => {
    expect(config({ ssl: { enabled: true } }).ssl).toEqual({ rejectUnauthorized: true })
    for (const enabled of [true, false])
      expect(() => config({ ssl: { enabled, rejectUnauthorized: false } })).toThrow(
        expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining('ca_file') }),
      )
  })

  test('an authority and a client certificate come from files, the key as a secret', () => {
    const ssl = { enabled: true, ca_file: join(folder, 'ca.pem'), cert_file: join(folder, 'cert.pem'), key: secret }
    expect(config({ ssl }).ssl).toEqual({ rejectUnauthorized: true, ca: ['CA'], cert: 'CERT', key: 'hunter2' })
    expect(() => config({ ssl: { ...ssl, key: null } })).toThrow(expect.objectContaining({ code: 'config.invalid' }))
    expect(() => config({ ssl: { enabled: true, ca_file: join(folder, 'absent.pem') } })).toThrow(
      expect.objectContaining({ code: 'config.invalid', message: expect.stringContaining('kafka.ssl.ca_file') }),
    )
  })

  test('off means off', () => {
    expect(config({ ssl: { enabled: false, ca_file: null, cert_file: null, key: null } })).not.toHaveProperty('ssl')
  })
})

test.each([[[]], [['kafka']], [['kafka:x']], [['http://kafka:9092']], [['kafka:9092/path']]])(
  'brokers %j are refused',
  (brokers) => {
    expect(() => config({ brokers })).toThrow(expect.objectContaining({ code: 'config.invalid' }))
  },
)

test('a heartbeat must fit into the session', () => {
  expect(() => kafkaSettings(options({ session_timeout_ms: 1_000, heartbeat_ms: 1_000 }))).toThrow(
    expect.objectContaining({ code: 'config.invalid' }),
  )
  expect(kafkaSettings(options({ session_timeout_ms: 1_000 })).heartbeat_ms).toBe(250)
})
