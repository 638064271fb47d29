import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventLogContract } from '../../ports/event-log.contract.ts'
import { systemClock } from '../system/clock.ts'
import { openDatabase } from './database.ts'
import { openEmbeddedLog } from './event-log.ts'

eventLogContract('embedded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'entrepot-log-'))
  const database = openDatabase(folder)
  const log = openEmbeddedLog(database, { clock: systemClock })
  return {
    log,
    admin: log,
    another: async () => log.member(),
    close: async () => {
      await log.close()
      database.check()
      database.close()
      rmSync(folder, { recursive: true })
    },
    deleteRecords: (at, before) => log.deleteRecords(at, before),
    compact: async () => {
      while (await log.trim());
    },
    deleteTopic: (topic) => log.deleteTopic(topic),
  }
})
