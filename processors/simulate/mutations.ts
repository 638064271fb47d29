/** The planted bugs of the protocol over Kafka: each breaks one rule that the guarantees rest on, and the storms must notice each. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the texts are sources, and hold templates of theirs
import type { Mutation } from './mutation.ts'

/** Planted in the Qdrant adapter, whose requests the simulated index does not see. */
export const qdrant_mutations: readonly Mutation[] = [
  {
    name: 'believed-when-acknowledged',
    breaks: 'Qdrant has a point once the write is completed; acknowledged is a promise, and may be gone after a restart.',
    file: 'adapters/qdrant/vector-index.ts',
    find: "result.status === 'completed'",
    replace: "(result.status === 'completed' || result.status === 'acknowledged')",
  },
]

export const kafka_mutations: readonly Mutation[] = [
  {
    name: 'unfenced-transaction',
    breaks: 'One transactional id an input partition: with an id of its own each owner commits beside the others.',
    file: 'adapters/kafka/changelog.ts',
    find: '`${prefix}${group}/${input.topic}/${input.partition}`',
    replace:
      '`${prefix}${group}/${input.topic}/${input.partition}/${((globalThis as { n?: number }).n = ((globalThis as { n?: number }).n ?? 0) + 1)}`',
  },
  {
    name: 'position-read-before-fencing',
    breaks: 'Fence first, then read: what the old owner commits in between is not seen, and done again.',
    file: 'adapters/kafka/task.ts',
    find: `    await transactions.fence()
    const state = memoryStateStore()
    const at = { topic: changelog, partition: input.partition }
    const restored = await restore(reader.readSettled(at), group, input, state)
`,
    replace: `    const state = memoryStateStore()
    const at = { topic: changelog, partition: input.partition }
    const restored = await restore(reader.readSettled(at), group, input, state)
    await transactions.fence()
`,
  },
  {
    name: 'restored-to-the-first-high-watermark',
    breaks:
      'State is read until its end stands still after fencing: an end that was asked for before it misses the last commits.',
    file: 'adapters/kafka/task.ts',
    find: `    await transactions.fence()
    const state = memoryStateStore()
    const at = { topic: changelog, partition: input.partition }
    const restored = await restore(reader.readSettled(at), group, input, state)
`,
    replace: `    const at = { topic: changelog, partition: input.partition }
    const { end } = (await reader.offsets(at.topic, [at.partition])).get(at.partition)!
    await transactions.fence()
    const state = memoryStateStore()
    const until = async function* () {
      for await (const record of reader.readSettled(at)) if (record.offset < end) yield record
    }
    const restored = await restore(until(), group, input, state)
`,
  },
  {
    name: 'committed-offset-trusted',
    breaks: 'The position is a record of the transaction; the offset that the group shows is late, lost or an old member’s.',
    file: 'adapters/kafka/task.ts',
    find: '    return taskOf(input, context, transactions, state, { ...restored, replaced }, bounds)',
    replace: `    const { made: admin } = inside.withCluster([], () => inside.kafka.admin())
    const shown = await admin.fetchOffsets({ groupId: group, topics: [input.topic] })
    const offset = shown[0]?.partitions.find(({ partition }) => partition === input.partition)?.offset
    return taskOf(input, context, transactions, state, { position: offset === undefined || Number(offset) < 0 ? undefined : Number(offset), last: undefined, replaced: false }, bounds)`,
  },
  {
    name: 'position-in-a-transaction-of-its-own',
    breaks: 'Outputs and position become visible together: apart, a crash between them does the batch again.',
    file: 'adapters/kafka/task.ts',
    find: '      await transactions.commit(groups)',
    replace: `      const log = changelogOf(group, input.topic)
      await transactions.commit(groups.filter(({ at }) => at.topic !== log))
      await transactions.commit(groups.filter(({ at }) => at.topic === log))`,
  },
  {
    name: 'resent-on-the-same-producer',
    breaks:
      'After an error the producer is over: a commit that is sent again may have happened, or its sequence numbers are others’.',
    file: 'adapters/kafka/transaction.ts',
    find: `        await transaction.commit()
      } catch (error) {`,
    replace: `        await transaction.commit()
      } catch (first) {
        let error = first
        try {
          const again = await producer.transaction()
          for (const sending of sendings) await sendOne(again, sending, compression)
          await again.commit()
          return
        } catch (second) {
          error = second
        }`,
  },
  {
    name: 'unknown-commit-believed',
    breaks: 'A commit without an answer has perhaps not happened: the state is dropped and read again.',
    file: 'adapters/kafka/transaction.ts',
    find: `      } catch (error) {
        used_up = true`,
    replace: `      } catch (error) {
        if (commitFault(error, '').code === 'commit.unknown') return
        used_up = true`,
  },
  {
    name: 'fenced-commit-believed',
    breaks: 'A fenced owner has committed nothing.',
    file: 'adapters/kafka/transaction.ts',
    find: `      } catch (error) {
        used_up = true`,
    replace: `      } catch (error) {
        if (commitFault(error, '').kind === 'fenced') return
        used_up = true`,
  },
  {
    name: 'uncommitted-read',
    breaks: 'Every reader is read-committed: what is open may be aborted yet.',
    file: 'adapters/kafka/subscription.ts',
    find: 'readUncommitted: false',
    replace: 'readUncommitted: true',
  },
  {
    name: 'aborted-not-sorted',
    breaks:
      'Brokers list aborted transactions by their end: taken as sorted by their beginning, as kafkajs does, some are shown.',
    file: 'adapters/kafka/inside.ts',
    find: '  aborted.sort((a, b) => a.first - b.first)\n',
    replace: '',
  },
  {
    name: 'unkeyed-send',
    breaks: 'A record goes where its key says: elsewhere, one key has two orders and two owners.',
    file: 'adapters/kafka/placing.ts',
    find: 'const partition = record.partition ?? partitionOf(record.key, count)',
    replace:
      'const partition = record.partition ?? (record.topic.endsWith(".changelog") ? partitionOf(record.key, count) : index % count)',
  },
  {
    name: 'position-one-too-far',
    breaks: 'The position is the next offset to read.',
    file: 'runtime/task.ts',
    find: 'const position = last === undefined ? task.position() : last.offset + 1',
    replace: 'const position = last === undefined ? task.position() : last.offset + (records.length > 3 ? 2 : 1)',
  },
  {
    name: 'position-one-short',
    breaks: 'The position is the next offset to read, and not the last that was.',
    file: 'runtime/task.ts',
    find: 'const position = last === undefined ? task.position() : last.offset + 1',
    replace: 'const position = last === undefined ? task.position() : Math.max(task.position(), last.offset)',
  },
  {
    name: 'index-write-not-awaited',
    breaks: 'A batch is committed once the index has acknowledged its points.',
    file: 'runtime/task.ts',
    find: 'await patiently(() => context.index.write(points, last.offset))',
    replace: 'void context.index.write(points, last.offset).catch(() => undefined)',
  },
  {
    name: 'index-without-guard',
    breaks: 'An older version never replaces a newer one: late and repeated writes do otherwise.',
    file: 'adapters/memory/vector-index.ts',
    find: '(stored) => stored.version < version,',
    replace: '() => true,',
  },
  {
    name: 'deletions-not-indexed',
    breaks: 'A tombstone of the log is a tombstone in the index.',
    file: 'index/processor.ts',
    find: 'lastByKey(batch.records).map((record) => itemPoint(record.key, record.value))',
    replace:
      'lastByKey(batch.records).filter((record) => record.value !== null).map((record) => itemPoint(record.key, record.value))',
  },
  {
    name: 'vector-reused-by-id',
    breaks: 'A vector belongs to a text: remembered by the item’s id it outlives the text.',
    file: 'embed/processor.ts',
    find: 'key: vectorKey(digest, hash) }',
    replace: 'key: vectorKey(digest, record.key) }',
  },
  {
    name: 'no-dedupe',
    breaks: 'An event id counts once.',
    file: 'canonicalize/processor.ts',
    find: 'const known = work.seen.find(id, time) ?? of_record',
    replace: 'const known = of_record',
  },
  {
    name: 'stale-items-taken',
    breaks: 'An older version of a listing that comes late is dropped.',
    file: 'canonicalize/processor.ts',
    find: `      if (known !== undefined && version < known.version) {
        why = 'stale'
        continue
      }
      const digest`,
    replace: '      const digest',
  },
  {
    name: 'waiting-kept-after-it-was-applied',
    breaks: 'An interaction that waited for its item is applied once.',
    file: 'learn/processor.ts',
    find: '      state.push({ key: entry.key, value: null })\n    }',
    replace: '    }',
  },
  {
    name: 'profile-of-another',
    breaks: 'An event of one user changes that user’s profile alone.',
    file: 'learn/processor.ts',
    find: 'const known = before?.profile ?? reads.profile(interaction.user_key)',
    replace: 'const known = before?.profile ?? reads.profile(interaction.user_key) ?? [...moved.values()][0]?.profile',
  },
  {
    name: 'taken-from-its-successor',
    breaks: 'A partition that a rebalance has brought back is not taken again: it would be fenced by its own process, for ever.',
    file: 'runtime/supervise.ts',
    find: `      // Told to end, it has a successor or none here: what else it ran into is not its business any more.
      if (outcome.how === 'stopped' || (abort.signal.aborted && outcome.how !== 'fatal')) return
      if (outcome.how === 'fatal') return fatal(name, outcome.fault, task.input)
      if (outcome.how === 'fenced') observe({ event: 'fenced', stage: name, input: task.input })
      else {
        observe({ event: 'paused', stage: name, input: task.input, fault: outcome.fault, retry_in_ms: 0 })
        statuses.set(id, { stage: name, input: task.input, state: 'restoring', reason: outcome.fault.code })
      }
      const attempt = restarts.get(id) ?? 0
      restarts.set(id, attempt + 1)
      await backOff(clock, limits, attempt, random.next(), stopping.signal)
      // A rebalance may have brought the partition back meanwhile: taking it again would fence that task, which would take it again.
      if (stopping.signal.aborted || running.has(id)) return
`,
    replace: `      // Told to end, it has a successor or none here: what else it ran into is not its business any more.
      if (outcome.how === 'stopped') return
      if (outcome.how === 'fatal') return fatal(name, outcome.fault, task.input)
      if (outcome.how === 'fenced') observe({ event: 'fenced', stage: name, input: task.input })
      else {
        observe({ event: 'paused', stage: name, input: task.input, fault: outcome.fault, retry_in_ms: 0 })
        statuses.set(id, { stage: name, input: task.input, state: 'restoring', reason: outcome.fault.code })
      }
      const attempt = restarts.get(id) ?? 0
      restarts.set(id, attempt + 1)
      await backOff(clock, limits, attempt, random.next(), stopping.signal)
      // A rebalance may have brought the partition back meanwhile: taking it again would fence that task, which would take it again.
      if (stopping.signal.aborted) return
`,
  },
  {
    name: 'gap-skipped-in-silence',
    breaks: 'Records that were deleted before they were read stop the reader until an operator decides.',
    file: 'adapters/kafka/task.ts',
    find: 'if (gap !== undefined && !accept_gap) queue.stop(gap)',
    replace: 'if (gap !== undefined && !accept_gap) queue.push([], bounds.start, bounds.end)',
  },
]
