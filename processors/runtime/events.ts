/** What the runtime tells whoever watches: metrics, logs, the demo's screen, a simulator's trace. Never payloads. */
import type { Fault } from '../domain/fault.ts'
import type { TopicPartition } from '../domain/record.ts'

export type RuntimeEvent =
  | { readonly event: 'assigned' | 'revoked' | 'fenced' | 'restoring'; readonly stage: string; readonly input: TopicPartition }
  | {
      readonly event: 'committed'
      readonly stage: string
      readonly input: TopicPartition
      readonly records: number
      readonly bytes: number
      readonly emitted: Readonly<Record<string, number>>
      readonly dropped: Readonly<Record<string, number>>
      readonly dead: Readonly<Record<string, number>>
      readonly kept: number
      /** Seconds by step: poll, decode, run, index, commit. */
      readonly seconds: Readonly<Record<string, number>>
      /** Seconds from the event's entry into the log to this commit, one per output that knows. */
      readonly latencies_s: readonly number[]
      /** Offset of the first dead letter of the batch, to name a place in the log line. */
      readonly first_dead?: { readonly offset: number; readonly code: string; readonly message: string }
    }
  | {
      readonly event: 'lag'
      readonly stage: string
      readonly group: string
      readonly input: TopicPartition
      readonly records: number
      /** Age of the oldest record not yet committed; 0 without lag. */
      readonly seconds: number
    }
  | {
      readonly event: 'paused'
      readonly stage: string
      readonly input: TopicPartition
      readonly fault: Fault
      readonly retry_in_ms: number
    }
  | { readonly event: 'resumed'; readonly stage: string; readonly input: TopicPartition }
  | { readonly event: 'stopped'; readonly stage: string; readonly input?: TopicPartition; readonly fault: Fault }
  | { readonly event: 'in_flight'; readonly records: number; readonly bytes: number }

export type Observer = (event: RuntimeEvent) => void
