/** `entrepot replay`: files of rows become records of a platform's source topic. */
import { basename } from 'node:path'
import { openWorld } from '../compose.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { openPublisher, sourceOf } from '../publish.ts'
import { keyFieldOf, replayRows } from '../replay-rows.ts'
import { fileBytes, rowFormatOf } from '../rows.ts'
import { exit_codes } from '../signals.ts'
import { countText, durationText, openProgress, shortCount } from '../terminal.ts'

/** Bad rows named one by one before the rest is only counted. */
const named_max = 10

export const replay = command({
  name: 'replay',
  summary: 'Publish CSV or JSONL rows to a platform’s source topic, as the platform would',
  details:
    'Each row is serialised with the platform’s registered schema and keyed by the field its map takes for the id. A bad row is named by line and left out; the exit code is then 1. Files may be gzipped.',
  examples: ['entrepot replay items.csv.gz --platform abt', 'entrepot replay clicks.jsonl --platform ga4 --rate 500'],
  arguments: [{ name: 'files', doc: '.csv, .jsonl or .ndjson files, each also with .gz.', rest: true }],
  flags: {
    platform: { type: 'text', value: 'NAME', doc: 'Whose topic: the name of a map’s platform.' },
    kind: { type: 'text', value: 'KIND', doc: 'Which of its topics: a map’s name, or items or interactions.' },
    key: { type: 'text', value: 'FIELD', doc: 'The field to key records by; else the one the map takes for the id.' },
    rate: { type: 'integer', value: 'N', min: 1, doc: 'At most so many rows a second.' },
    ...data_flag,
  },
  run: async (context) => {
    const { flags, err, misuse, print } = context
    const { files } = context.arguments
    if (flags.platform === undefined) return misuse('--platform says whose rows these are.')
    for (const file of files) rowFormatOf(file)
    const total = files.reduce((sum, file) => sum + fileBytes(file), 0)
    const stopping = context.stopping()
    const world = await openWorld(settingsWithData(context))
    try {
      const source = sourceOf(world.platforms, flags.platform, flags.kind)
      const platform = world.platforms.find(({ name }) => name === source.platform)!
      const key = flags.key ?? keyFieldOf(platform.maps[platform.sources.indexOf(source)]!)
      if (world.settings.mode === 'embedded') await world.prepare()
      const publisher = await openPublisher(world)
      const progress = openProgress(err, { label: source.topic, unit: 'bytes', total })
      const started_ms = world.clock.monotonic_ms()
      let rows = 0
      let bad = 0
      const published = await replayRows(world, publisher, {
        source,
        files,
        key,
        rate: flags.rate ?? null,
        signal: stopping,
        progress: (count, bytes, file) => {
          rows += count
          progress.note(`${countText(rows)} rows, ${basename(file)}`)
          progress.advance(bytes)
        },
        bad: ({ file, line, fault }) => {
          bad++
          if (bad <= named_max)
            err.line(
              `${err.interactive ? '\r\u001b[K' : ''}${err.paint('yellow', `${basename(file)}:${line}`)} ${fault.code} ${fault.message}`,
            )
        },
      })
      progress.end()
      if (bad > named_max) err.line(`${countText(bad - named_max)} more bad rows.`)
      const seconds = (world.clock.monotonic_ms() - started_ms) / 1_000
      print({ topic: source.topic, key, published, bad, seconds, stopped: stopping.aborted }, () =>
        [
          `${countText(published)} records to ${source.topic} in ${durationText(seconds)} (${shortCount(published / seconds)}/s)`,
          key === null ? ', without a key' : `, keyed by ${key}`,
          bad === 0 ? '' : `; ${countText(bad)} bad rows left out`,
          stopping.aborted ? '; stopped before the end' : '',
          '.',
        ].join(''),
      )
      return bad > 0 || stopping.aborted ? exit_codes.findings : exit_codes.ok
    } finally {
      await world.close()
    }
  },
})
