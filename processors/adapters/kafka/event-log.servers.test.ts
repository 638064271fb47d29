import { test } from '@jest/globals'
import { eventLogContract } from '../../ports/event-log.contract.ts'
import { openTestLog } from './opened-log.fixture.ts'

const brokers = process.env['KAFKA_BROKERS']

if (brokers === undefined) {
  process.stderr.write(
    'NOT CHECKED event log contract: kafka (all laws): KAFKA_BROKERS is not set; `npm run test:servers` starts a broker.\n',
  )
  test.skip('event log contract: kafka [KAFKA_BROKERS is not set]', () => {})
} else eventLogContract('kafka', () => openTestLog(brokers), { timeout_ms: 60_000 })
