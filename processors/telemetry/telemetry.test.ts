import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { Fault } from '../domain/fault.ts'
import { metricsMarkdown } from './describe.ts'
import { escapeControls, type LogDetail, line_bytes_max, lines_per_second_max, no_log, openLog } from './log.ts'
import { type MetricSpec, metrics, no_telemetry } from './metrics.ts'
import { openTelemetry } from './prometheus.ts'

const catalogue = Object.entries(metrics as Readonly<Record<string, MetricSpec>>)

const declared = {
  stages: ['learn', 'recommend'],
  topics: ['behavior.interactions.v1'],
  groups: ['entrepot.learn'],
  drop_reasons: ['late'],
  placements: ['home'],
  versions: ['0.1.0'],
}

const seriesOf = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))

describe('the catalogue', () => {
  test('follows Prometheus’ naming: one prefix, base units, _total on counters alone', () => {
    for (const [name, { kind, unit }] of catalogue) {
      expect(name).toMatch(/^entrepot_[a-z]+(_[a-z]+)*$/u)
      expect(name.endsWith('_total')).toBe(kind === 'counter')
      if (unit === 'seconds' || unit === 'bytes') expect(name).toContain(`_${unit}`)
    }
  })

  test('every metric says what it is and what to do when it is bad; histograms have rising buckets', () => {
    for (const [name, { help, when_bad, kind, buckets = [] }] of catalogue) {
      expect([name, help.endsWith('.'), when_bad.endsWith('.')]).toEqual([name, true, true])
      expect(buckets.length > 0).toBe(kind === 'histogram')
      expect(buckets).toEqual([...buckets].sort((a, b) => a - b))
    }
    const headline = metrics.entrepot_event_to_recommendation_seconds.buckets
    expect([headline[0], headline.at(-1)]).toEqual([0.005, 60])
  })

  test('the page names every metric and label', () => {
    const page = metricsMarkdown()
    for (const [name, { labels }] of catalogue) {
      expect(page).toContain(`## ${name}\n`)
      for (const label of Object.keys(labels)) expect(page).toContain(`- \`${label}\`: `)
    }
  })
})

describe('telemetry', () => {
  test('counts, observes, sets and forgets', async () => {
    const telemetry = openTelemetry({ declared, strict: true })
    const at = { group: 'entrepot.learn', topic: 'behavior.interactions.v1', partition: 3 }
    telemetry.count('entrepot_records_consumed_total', { stage: 'learn', topic: at.topic }, 5)
    telemetry.count('entrepot_records_consumed_total', { stage: 'learn', topic: at.topic })
    telemetry.observe('entrepot_event_to_recommendation_seconds', { stage: 'recommended' }, 0.06)
    telemetry.set('entrepot_consumer_lag_records', at, 7)
    telemetry.set('entrepot_in_flight_bytes', {}, 99)
    const text = await telemetry.text()
    expect(text).toContain('entrepot_records_consumed_total{stage="learn",topic="behavior.interactions.v1"} 6')
    expect(text).toContain('entrepot_event_to_recommendation_seconds_bucket{le="0.075",stage="recommended"} 1')
    expect(text).toContain('entrepot_event_to_recommendation_seconds_bucket{le="0.05",stage="recommended"} 0')
    expect(text).toContain(
      'entrepot_consumer_lag_records{group="entrepot.learn",topic="behavior.interactions.v1",partition="3"} 7',
    )
    expect(text).toContain('entrepot_in_flight_bytes 99')
    telemetry.forget('entrepot_consumer_lag_records', at)
    expect(await telemetry.text()).not.toContain('entrepot_consumer_lag_records{')
    expect(telemetry.content_type).toContain('text/plain')
  })

  test('a million hostile label values leave the number of series as it was', async () => {
    const telemetry = openTelemetry({ declared })
    const observeAll = (count: number) => {
      for (let i = 0; i < count; i++) {
        telemetry.count('entrepot_records_consumed_total', { stage: `s${i}`, topic: `evil"}\n${i}` })
        telemetry.set('entrepot_consumer_lag_records', { group: `g${i}`, topic: `t${i}`, partition: -i - 1 }, i)
        telemetry.observe('entrepot_http_request_seconds', { route: `/v1/${i}`, status: i }, 0.1)
        telemetry.count('entrepot_dead_letters_total', { stage: '__proto__', reason: 'constructor' })
      }
    }
    observeAll(10)
    const before = seriesOf(await telemetry.text()).length
    observeAll(100_000)
    const text = await telemetry.text()
    expect(seriesOf(text)).toHaveLength(before)
    expect(text).toContain('entrepot_records_consumed_total{stage="other",topic="other"} 100010')
    expect(text).not.toContain('evil')
  })

  test('a label keeps at most 100 values; strict telemetry throws, in tests', async () => {
    const topics = Array.from({ length: 101 }, (_, i) => `t${i}`)
    expect(() => openTelemetry({ declared: { topics }, strict: true })).toThrow(/101 values/u)
    const lax = openTelemetry({ declared: { ...declared, topics } })
    lax.count('entrepot_records_consumed_total', { stage: 'learn', topic: 't99' })
    lax.count('entrepot_records_consumed_total', { stage: 'learn', topic: 't100' })
    const text = await lax.text()
    expect(text).toContain('topic="t99"')
    expect(text).toContain('topic="other"')
    const strict = openTelemetry({ declared, strict: true })
    expect(() => strict.count('entrepot_duplicates_total', { stage: 'nobody' })).toThrow(Fault)
  })

  test('the process’s own metrics are there when asked for', async () => {
    const text = await openTelemetry({ process_metrics: true }).text()
    expect(text).toContain('process_resident_memory_bytes')
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds')
    expect(await openTelemetry().text()).not.toContain('process_')
  })

  test('no telemetry takes everything', () => {
    no_telemetry.count('entrepot_profiles_updated_total', {})
    no_telemetry.observe('entrepot_embedding_seconds', {}, 1)
    no_telemetry.set('entrepot_in_flight_records', {}, 1)
    expect(no_telemetry.forget('entrepot_in_flight_records', {})).toBeUndefined()
  })
})

describe('the log', () => {
  const start_ms = Date.UTC(2026, 10, 23, 12)
  const capture = (level: 'debug' | 'info' | 'silent' = 'info') => {
    const lines: string[] = []
    const time = { now_ms: start_ms }
    let suppressed = 0
    const log = openLog({
      level,
      to: { write: (line) => void lines.push(line) },
      now_ms: () => time.now_ms,
      base: { app: 'entrepot' },
      suppressed: (n) => {
        suppressed += n
      },
    })
    return {
      log,
      lines,
      time,
      parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
      suppressed: () => suppressed,
    }
  }

  test('a line is one JSON object with level, time, code and message', () => {
    const { log, parsed } = capture()
    log.info('task.assigned', 'A partition is ours.', { stage: 'learn', partition: 3, ok: true, none: null, gone: undefined })
    expect(parsed()).toEqual([
      {
        level: 'info',
        time: '2026-11-23T12:00:00.000Z',
        code: 'task.assigned',
        message: 'A partition is ours.',
        app: 'entrepot',
        stage: 'learn',
        partition: 3,
        ok: true,
        none: null,
      },
    ])
  })

  test('levels hold; a child keeps its facts', () => {
    const { log, parsed } = capture()
    log.debug('a', 'hidden')
    const child = log.with({ stage: 'embed' }).with({ partition: 1 })
    child.warn('b', 'shown')
    child.error('c', 'shown')
    expect(parsed().map((line) => [line['level'], line['stage'], line['partition']])).toEqual([
      ['warn', 'embed', 1],
      ['error', 'embed', 1],
    ])
    const silent = capture('silent')
    silent.log.error('a', 'b')
    expect(silent.lines).toEqual([])
    no_log.with({}).error('a', 'b')
  })

  test('what looks private is not written, whatever its value', () => {
    const { log, lines } = capture()
    const canary = 'canary-7781'
    const keys = [
      'password',
      'sasl_password',
      'api_key',
      'apiKey',
      'Authorization',
      'access_token',
      'email',
      'user_email',
      'phone',
      'ip',
      'client_ip',
      'user_id',
      'payload',
      'body',
      'client_secret',
    ]
    log.info('x', 'message', Object.fromEntries(keys.map((key) => [key, canary])))
    const odd = { nested: { deep: canary }, list: [canary], fn: () => canary } as unknown as LogDetail
    log.info('x', 'message', odd)
    expect(lines).toHaveLength(2)
    expect(lines.join('')).not.toContain(canary)
    expect(lines[1]).toContain('"nested":"[object]"')
  })

  test('counts and limits are not taken for secrets; own fields are not overwritten', () => {
    const { log, parsed } = capture()
    log.info('x', 'message', { tokens_max: 512, address: '127.0.0.1:8088', code: 'y', level: 'z' })
    expect(parsed()[0]).toMatchObject({
      tokens_max: 512,
      address: '127.0.0.1:8088',
      code: 'x',
      level: 'info',
      detail_code: 'y',
      detail_level: 'z',
    })
  })

  test('control characters are written as visible escapes, so that a line stays a line even when decoded', () => {
    const { log, lines, parsed } = capture()
    const hostile = 'a\r\nb\u001b[31mred\u009b0m\u202etxt\u2028\u0000\ud800'
    log.info('x', hostile, { title: hostile, [hostile]: 1 })
    expect(lines).toHaveLength(1)
    expect(parsed()[0]!['title']).toBe('a\\r\\nb\\x1b[31mred\\x9b0m\\u202etxt\\u2028\\x00\ufffd')
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(escapeControls(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e]/u)
      }),
    )
  })

  test('a line never exceeds 8 KiB', () => {
    const { log, lines, parsed } = capture()
    const long = '\u0001é'.repeat(5_000)
    log.info('x', long, Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`key${i}`, long])))
    log.info('y', 'short', Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`key${i}`, i])))
    for (const line of lines) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(line_bytes_max)
    expect(parsed()[0]).toMatchObject({ code: 'x', cut: true })
    expect(parsed()[1]).toMatchObject({ code: 'y', key0: 0 })
  })

  test('at most 100 lines of a code in a second; the next one says how many were left out', () => {
    const { log, lines, time, parsed, suppressed } = capture()
    for (let i = 0; i < 250; i++) log.warn('dead_letter', 'again')
    log.warn('else', 'another code is not held back')
    expect(lines).toHaveLength(lines_per_second_max + 1)
    expect(suppressed()).toBe(150)
    time.now_ms += 1_000
    log.warn('dead_letter', 'again')
    log.warn('dead_letter', 'again')
    expect(parsed().at(-2)).toMatchObject({ left_out: 150 })
    expect(parsed().at(-1)).not.toHaveProperty('left_out')
  })

  test('codes without end share one budget', () => {
    const { log, lines } = capture()
    for (let i = 0; i < 5_000; i++) log.info(`code-${i}`, 'x')
    expect(lines.length).toBeLessThanOrEqual(1_000 + lines_per_second_max)
  })

  test('a fault brings kind, code and detail; only defects bring a stack; what others quoted stays out', () => {
    const { log, parsed, lines } = capture()
    const quoting = (() => {
      try {
        return JSON.parse('{"secret-user-4711": oops')
      } catch (error) {
        return error
      }
    })()
    log.fault(
      new Fault(
        'log.unavailable',
        'The brokers do not answer.',
        { broker: 'k1' },
        Object.assign(new Error('x'), { code: 'ECONNREFUSED' }),
      ),
      { stage: 'learn' },
    )
    log.fault(new Fault('defect.unexpected', (quoting as Error).message, {}, quoting))
    log.fault(new Fault('config.invalid', 'http.port takes an integer.'))
    expect(parsed()[0]).toMatchObject({
      level: 'warn',
      code: 'log.unavailable',
      kind: 'transient',
      broker: 'k1',
      stage: 'learn',
      cause: 'Error ECONNREFUSED',
    })
    expect(parsed()[0]).not.toHaveProperty('stack')
    expect(parsed()[1]).toMatchObject({
      level: 'error',
      kind: 'defect',
      cause: 'SyntaxError',
      stack: expect.stringContaining('at '),
    })
    expect(parsed()[2]).toMatchObject({ level: 'error', kind: 'misconfigured' })
    expect(lines.join('')).not.toContain('4711')
  })
})
