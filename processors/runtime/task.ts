/** The life of one input partition: poll, decode, run, index, commit. The only place where a processor's outcome takes effect. */
import { asFault, Fault } from '../domain/fault.ts'
import { type LogRecord, type OutputRecord, placeName, type TopicPartition } from '../domain/record.ts'
import type { InputRecord, Outcome, Processor, ReadPorts } from '../flow/processor.ts'
import type { Stage } from '../flow/topology.ts'
import type { Clock } from '../ports/clock.ts'
import type { LogTask } from '../ports/event-log.ts'
import type { Random } from '../ports/random.ts'
import type { Serde } from '../ports/schema-registry.ts'
import type { VectorIndex } from '../ports/vector-index.ts'
import { account } from './account.ts'
import { deadLetter } from './dead-letter.ts'
import type { Observer } from './events.ts'
import { backOff, backoffMs, type InFlightBudget, type RuntimeLimits } from './limits.ts'

/** What a task works with; one per stage, shared by its partitions. */
export type StageContext = {
  readonly stage: Stage
  readonly group: string
  readonly dead_letters: { readonly name: string; readonly partitions: number }
  readonly reads: ReadPorts
  readonly index: VectorIndex
  /** Null when the stage reads platform topics as bytes. */
  readonly input: Serde<unknown> | null
  readonly outputs: ReadonlyMap<string, Serde<unknown>>
  readonly limits: RuntimeLimits
  readonly budget: InFlightBudget
  readonly clock: Clock
  readonly random: Random
  readonly observe: Observer
  /** Called after each commit, on each declared pause and while nothing waits: the watchdog's food. */
  readonly alive: (input: TopicPartition) => void
}

/** Why a task ended: told to stop, ownership lost, state to be restored, or a fault that an operator or a developer must see. */
export type TaskEnd =
  | { readonly how: 'stopped' }
  | { readonly how: 'fenced' }
  | { readonly how: 'restore'; readonly fault: Fault }
  | { readonly how: 'fatal'; readonly fault: Fault }

const key_bytes_max = 1024
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

type Work = { readonly inputs: readonly InputRecord<unknown>[]; readonly refused: readonly { record: LogRecord; fault: Fault }[] }

/** Splits polled records into what the processor sees and what cannot be read at all. A registry outage throws, transient. */
const decode = async (context: StageContext, records: readonly LogRecord[]): Promise<Work> => {
  const { input } = context
  const inputs: InputRecord<unknown>[] = []
  const refused: { record: LogRecord; fault: Fault }[] = []
  const values =
    input === null ? [] : await input.deserialize(records.flatMap((record) => (record.value === null ? [] : [record.value])))
  let next_value = 0
  for (const record of records) {
    const decoded = input === null ? { bytes: record.value } : record.value === null ? null : values[next_value++]
    try {
      const key = record.key === null ? '' : utf8.decode(record.key)
      if (record.key !== null && record.key.length > key_bytes_max)
        throw new Fault('key.too_long', `The key has ${record.key.length} bytes; at most ${key_bytes_max} are taken.`)
      if (input !== null && key === '') throw new Fault('key.missing', 'The record has no key.')
      if (decoded instanceof Fault) throw decoded
      inputs.push({
        offset: record.offset,
        key,
        value: decoded,
        bytes: record.value,
        timestamp_ms: record.timestamp_ms,
        headers: record.headers,
      })
    } catch (error) {
      const fault = error instanceof Fault ? error : new Fault('decode.utf8', 'The key is not valid UTF-8.', {}, error)
      if (fault.kind !== 'malformed') throw fault
      refused.push({ record, fault })
    }
  }
  return { inputs, refused }
}

const countBy = <T>(items: readonly T[], name: (item: T) => string): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const item of items) counts[name(item)] = (counts[name(item)] ?? 0) + 1
  return counts
}

/**
 * Runs until the signal aborts or the task ends by a fault. Never throws. Transient faults are waited out here, on the same
 * records, and declared as a pause; the batch in flight when the signal aborts is finished first unless it is waiting.
 */
export const runTask = async (task: LogTask, context: StageContext, signal: AbortSignal): Promise<TaskEnd> => {
  const { stage, clock, limits, observe } = context
  const processor: Processor<unknown, unknown> = stage.processor
  const name = processor.name
  const reads = processor.reads(context.reads, task.state)
  let dead_in_row = 0
  let woke_ms = clock.monotonic_ms()

  /** Repeats a step that may fail transiently; any other fault passes through. */
  const patiently = async <T>(step: () => Promise<T>): Promise<T> => {
    for (let attempt = 0; ; attempt++) {
      try {
        const result = await step()
        if (attempt > 0) observe({ event: 'resumed', stage: name, input: task.input })
        return result
      } catch (error) {
        const fault = asFault(error)
        if (fault.kind !== 'transient' || signal.aborted) throw fault
        const chance = context.random.next()
        observe({ event: 'paused', stage: name, input: task.input, fault, retry_in_ms: backoffMs(limits, attempt, chance) })
        context.alive(task.input)
        await backOff(clock, limits, attempt, chance, signal)
        if (signal.aborted) throw fault
      }
    }
  }

  /** One batch, from records to commit. */
  const process = async (records: readonly LogRecord[], poll_s: number): Promise<void> => {
    const seconds: Record<string, number> = { poll: poll_s }
    let mark = clock.monotonic_ms()
    const lap = (step: string) => {
      const now = clock.monotonic_ms()
      seconds[step] = (now - mark) / 1000
      mark = now
    }
    const now_ms = clock.now_ms()
    const { inputs, refused } = await patiently(() => decode(context, records))
    lap('decode')

    const batch = { topic: task.input.topic, partition: task.input.partition, now_ms, records: inputs }
    const outcome: Outcome = await patiently(() => processor.run(batch, reads))
    account(
      processor,
      inputs.map((input) => input.offset),
      outcome,
      stage.to,
    )
    lap('run')

    const last = records.at(-1)
    const points = outcome.points ?? []
    if (points.length > 0 && last !== undefined) await patiently(() => context.index.write(points, last.offset))
    lap('index')

    const by_offset = new Map(records.map((record) => [record.offset, record]))
    const dead = [...refused]
    for (const drop of outcome.dropped ?? []) {
      if (!('fault' in drop)) continue
      const record: LogRecord =
        drop.original === undefined
          ? by_offset.get(drop.at)!
          : {
              offset: drop.at,
              key: Buffer.from(drop.original.key, 'utf8'),
              value: drop.original.bytes,
              headers: [],
              timestamp_ms: now_ms,
            }
      dead.push({ record, fault: drop.fault })
    }
    const outputs: OutputRecord[] = outcome.emit.map((emit) => ({
      topic: emit.to.name,
      key: Buffer.from(emit.key, 'utf8'),
      value: emit.value === null ? null : context.outputs.get(emit.to.name)!.serialize(emit.value),
      timestamp_ms: now_ms,
    }))
    for (const { record, fault } of dead) outputs.push(deadLetter(context.dead_letters, task.input, record, name, fault, now_ms))
    lap('encode')

    const position = last === undefined ? task.position() : last.offset + 1
    await patiently(() => task.commit({ outputs, state: outcome.state ?? [], position }))
    lap('commit')
    context.alive(task.input)

    const committed_ms = clock.now_ms()
    const latencies_s: number[] = []
    if (processor.entered_at !== undefined)
      for (const emit of outcome.emit) {
        const entered = processor.entered_at(emit)
        if (entered !== null) latencies_s.push(Math.max(0, committed_ms - entered) / 1000)
      }
    const dropped = (outcome.dropped ?? []).flatMap((drop) => ('reason' in drop ? [drop.reason] : []))
    const kept = new Set((outcome.state ?? []).flatMap((change) => change.causes ?? [])).size
    const first_dead = dead[0]
    observe({
      event: 'committed',
      stage: name,
      input: task.input,
      records: records.length,
      bytes: records.reduce((sum, record) => sum + (record.value?.length ?? 0) + (record.key?.length ?? 0), 0),
      emitted: countBy(outcome.emit, (emit) => emit.to.name),
      dropped: countBy(dropped, (reason) => reason),
      dead: countBy(dead, ({ fault }) => fault.code),
      kept,
      seconds,
      latencies_s,
      ...(first_dead === undefined
        ? {}
        : { first_dead: { offset: first_dead.record.offset, code: first_dead.fault.code, message: first_dead.fault.message } }),
    })

    const healthy = records.length - dead.length
    dead_in_row = healthy > 0 ? 0 : dead_in_row + dead.length
    if (dead_in_row >= limits.dead_letters_in_row_max) {
      throw new Fault(
        'breaker.open',
        `${dead_in_row} records in a row of ${placeName(task.input)} were dead-lettered (last code ${first_dead?.fault.code}): the partition stops before the topic is drained.`,
        { topic: task.input.topic, partition: task.input.partition },
      )
    }
  }

  const lag = (end_offset: number, oldest_ms: number | null) => {
    const records = Math.max(0, end_offset - task.position())
    const seconds = records === 0 || oldest_ms === null ? 0 : Math.max(0, clock.now_ms() - oldest_ms) / 1000
    observe({ event: 'lag', stage: name, group: context.group, input: task.input, records, seconds })
  }

  try {
    while (!signal.aborted) {
      const started = clock.monotonic_ms()
      const wait_ms = Math.min(1_000, processor.wakes_ms ?? 1_000)
      const polled = await patiently(() => task.poll({ ...stage.bounds, wait_ms }, signal))
      const wake = processor.wakes_ms !== undefined && clock.monotonic_ms() - woke_ms >= processor.wakes_ms
      if (polled.records.length === 0) {
        lag(polled.end_offset, null)
        if (polled.end_offset <= task.position()) context.alive(task.input)
        if (!wake || signal.aborted) continue
      }
      const bytes = polled.records.reduce((sum, record) => sum + (record.value?.length ?? 0), 0)
      const share = await context.budget.take(polled.records.length, bytes, signal)
      if (share === null) break
      observe({ event: 'in_flight', records: context.budget.records, bytes: context.budget.bytes })
      try {
        if (wake) woke_ms = clock.monotonic_ms()
        await process(polled.records, (clock.monotonic_ms() - started) / 1000)
        lag(polled.end_offset, polled.records[0]?.timestamp_ms ?? null)
      } finally {
        share.release()
      }
    }
    return { how: 'stopped' }
  } catch (error) {
    const fault = asFault(error)
    switch (fault.kind) {
      case 'fenced':
        return { how: 'fenced' }
      case 'corrupt':
        return { how: 'restore', fault }
      case 'transient':
        return signal.aborted ? { how: 'stopped' } : { how: 'restore', fault }
      case 'malformed':
        return {
          how: 'fatal',
          fault: new Fault(
            'outcome.invalid',
            `${name} threw a malformed fault instead of returning it: ${fault.message}`,
            {},
            fault,
          ),
        }
      case 'misconfigured':
      case 'defect':
        return { how: 'fatal', fault }
      default:
        fault.kind satisfies never
        return { how: 'fatal', fault }
    }
  }
}
