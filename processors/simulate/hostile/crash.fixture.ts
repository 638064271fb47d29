/** The child of crash.test.ts and of the report: tries the whole crash set on itself and says how it went, as one line of JSON. */
import { lintSchema } from '../../adapters/registry/lint.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import { loadPlatforms } from '../../config/platforms.ts'
import { attemptAll } from './crash-set.ts'
import { hostileSchemas } from './hostile-schemas.ts'

const platforms = await loadPlatforms({ folder: null, enabled: [] }, { shops: {} })
const attempts = await attemptAll(systemClock, platforms)
const lints = hostileSchemas().map(({ name, schema }) => {
  const began_ms = systemClock.monotonic_ms()
  const [finding] = lintSchema(schema)
  return { name, ended: finding?.rule ?? 'accepted', blocked_ms: systemClock.monotonic_ms() - began_ms }
})
const report = { attempts, lints, rss_mib: Math.round(process.memoryUsage().rss / 2 ** 20) }
process.stdout.write(`${JSON.stringify(report)}\n`)
