/** A refused record as it goes to the dead-letter topic: the original bytes, and headers that say where, why and how often. */
import type { Fault } from '../domain/fault.ts'
import { fault_codes } from '../domain/fault.ts'
import type { Header, LogRecord, OutputRecord, TopicPartition } from '../domain/record.ts'

const header = (name: string, value: string | number): Header => [name, Buffer.from(String(value), 'utf8')]

/** Headers of ours on a dead letter that came from a replay; the first sighting stays, the count goes up. */
const replayCount = (headers: readonly Header[]): number => {
  const found = headers.find(([name]) => name === 'x-replay-count')
  const count = found === undefined ? 0 : Number(found[1].toString('utf8'))
  return Number.isSafeInteger(count) && count >= 0 ? count : 0
}

const bounds = { headers_max: 64, header_bytes_max: 16 * 1024 }

/**
 * Key and value are the original bytes. Headers follow Kafka Connect (KIP-298) `__connect.errors.*`, and ours: `x-reason-code`
 * (a closed list), `x-replay-count`, `x-first-seen` (epoch ms). The producer's own headers stay, up to 64 of 16 KiB together.
 */
export const deadLetter = (
  to: { readonly name: string; readonly partitions: number },
  input: TopicPartition,
  record: LogRecord,
  stage: string,
  fault: Fault,
  now_ms: number,
): OutputRecord => {
  const kept: Header[] = []
  let bytes = 0
  for (const [name, value] of record.headers) {
    if (name.startsWith('__connect.errors.') || name === 'x-reason-code' || name === 'x-replay-count') continue
    bytes += name.length + value.length
    if (kept.length >= bounds.headers_max || bytes > bounds.header_bytes_max) break
    kept.push([name, value])
  }
  const first_seen = kept.some(([name]) => name === 'x-first-seen') ? [] : [header('x-first-seen', now_ms)]
  return {
    topic: to.name,
    partition: input.partition % to.partitions,
    key: record.key,
    value: record.value,
    timestamp_ms: now_ms,
    headers: [
      ...kept,
      ...first_seen,
      header('__connect.errors.topic', input.topic),
      header('__connect.errors.partition', input.partition),
      header('__connect.errors.offset', record.offset),
      header('__connect.errors.stage', stage),
      header('__connect.errors.class.name', fault.kind),
      header('__connect.errors.exception.class.name', fault.code),
      header('__connect.errors.exception.message', `${fault.message} ${fault_codes[fault.code].remedy}`),
      header('x-reason-code', fault.code),
      header('x-replay-count', replayCount(record.headers)),
    ],
  }
}
