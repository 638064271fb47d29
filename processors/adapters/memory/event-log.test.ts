import { eventLogContract } from '../../ports/event-log.contract.ts'
import { systemClock } from '../system/clock.ts'
import { openMemoryLog } from './event-log.ts'

eventLogContract('memory', async () => {
  const log = openMemoryLog(systemClock)
  return {
    log,
    admin: log,
    another: async () => log.member(),
    close: () => log.close(),
    deleteRecords: async (at, before) => log.deleteRecords(at, before),
    compact: async (topic) => log.compact(topic),
    deleteTopic: async (topic) => log.deleteTopic(topic),
  }
})
