import { createRequire } from 'node:module'
import { describe, expect, test } from '@jest/globals'
import { Fault } from '../../domain/fault.ts'
import { commitFault, kafkaFault, kafkaName } from './faults.ts'
import './inside.ts'

const require = createRequire(import.meta.url)
const { createErrorFromCode } = require('kafkajs/src/protocol/error') as { createErrorFromCode(code: number): Error }
const errors = require('kafkajs/src/errors') as Record<string, new (...given: unknown[]) => Error>
const exceeded = (error: Error) => new errors.KafkaJSNumberOfRetriesExceeded!(error, { retryCount: 3, retryTime: 1 })

describe('what a refusal of the broker means', () => {
  test.each([
    [47, 'task.fenced', 'task.fenced'],
    [90, 'task.fenced', 'task.fenced'],
    [59, 'task.fenced', 'task.fenced'],
    [49, 'task.fenced', 'task.fenced'],
    [3, 'topic.missing', 'topic.missing'],
    [10, 'emit.too_large', 'log.refused'],
    [29, 'log.unauthorized', 'log.unauthorized'],
    [53, 'log.unauthorized', 'log.unauthorized'],
    [56, 'log.full', 'commit.unknown'],
    [7, 'log.unavailable', 'commit.unknown'],
    [19, 'log.unavailable', 'commit.unknown'],
    [45, 'log.unavailable', 'commit.unknown'],
    [48, 'log.unavailable', 'commit.unknown'],
    [120, 'log.unavailable', 'commit.unknown'],
    [-1, 'log.unavailable', 'commit.unknown'],
    [50, 'config.invalid', 'config.invalid'],
  ])('code %i is %s, in a commit %s', (code, plain, commit) => {
    for (const error of [createErrorFromCode(code), exceeded(createErrorFromCode(code))]) {
      expect(kafkaFault(error, 'Doing').code).toBe(plain)
      expect(commitFault(error, 'Doing').code).toBe(commit)
    }
  })
})

describe('what a failure of the client means', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  test.each([
    new errors.KafkaJSConnectionError!('x', { broker: 'b', code: 'ECONNREFUSED' }),
    new errors.KafkaJSConnectionClosedError!('x', { host: 'b', port: 1 }),
    new errors.KafkaJSRequestTimeoutError!('x', {}),
    new errors.KafkaJSBrokerNotFound!('x'),
    exceeded(new errors.KafkaJSConnectionError!('x', {})),
    refused,
  ])('%s may pass; in a commit its outcome is unknown', (error) => {
    expect(kafkaFault(error, 'Doing')).toMatchObject({ code: 'log.unavailable', kind: 'transient' })
    expect(commitFault(error, 'Doing')).toMatchObject({ code: 'commit.unknown', kind: 'corrupt' })
  })

  test('wrong credentials stop, and are not repeated', () => {
    const fault = kafkaFault(
      new errors.KafkaJSSASLAuthenticationError!('SASL PLAIN failed for hunter2'),
      'Connecting to the brokers',
    )
    expect(fault).toMatchObject({ code: 'log.unauthorized', kind: 'misconfigured' })
    expect(fault.message).not.toContain('hunter2')
  })

  test('a fault of ours inside stays what it is', () => {
    const bomb = new Fault('limits.inflate', 'too long')
    expect(kafkaFault(exceeded(bomb), 'Reading')).toBe(bomb)
  })

  test('an error of ours is a defect, but not what a commit ends in', () => {
    expect(kafkaFault(new TypeError('x is undefined'), 'Doing').code).toBe('defect.unexpected')
    expect(commitFault(new TypeError('x is undefined'), 'Doing').code).toBe('commit.unknown')
  })
})

test('a name is Kafka’s own, however deep', () => {
  expect(kafkaName(exceeded(createErrorFromCode(51)))).toBe('CONCURRENT_TRANSACTIONS')
  expect(kafkaName(new errors.KafkaJSBrokerNotFound!('x'))).toBe('KafkaJSBrokerNotFound')
})
