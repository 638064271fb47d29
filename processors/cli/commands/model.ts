/** `entrepot model ls|pull|verify`: which encoders there are, how another one gets here, and whether one is sound. */
import type { Provider } from '../../adapters/onnx/messages.ts'
import { type PullReport, pullModel } from '../../adapters/onnx/pull.ts'
import { listModels, locateModel, type ModelEntry, type ModelPlace, modelNamed } from '../../adapters/onnx/store.ts'
import { self_cosine_min } from '../../adapters/onnx/trial.ts'
import { type ModelFinding, verifyModel } from '../../adapters/onnx/verify.ts'
import { systemClock } from '../../adapters/system/clock.ts'
import type { Settings } from '../../config/spec.ts'
import { Fault } from '../../domain/fault.ts'
import { data_flag, settingsWithData } from '../data-flag.ts'
import { command } from '../frame.ts'
import { exit_codes } from '../signals.ts'
import { bytesText, openProgress, type Progress, printable, type Style, type Terminal, tableText } from '../terminal.ts'

/** The model that a word means: a path when it looks like one, else a name; without a word the one of the settings. */
export const modelOfWord = async (word: string | undefined, settings: Settings): Promise<ModelPlace> =>
  word === undefined
    ? locateModel(settings.model)
    : /[/\\]|^\.{1,2}$/u.test(word)
      ? locateModel({ folder: word, name: null, store: settings.model.store, digest: null })
      : modelNamed(word, settings.model.store)

const whereText = ({ where, folder }: ModelEntry): string => (where === 'folder' ? folder : where)

const languagesText = (languages: readonly string[]): string =>
  languages.length === 0
    ? '–'
    : languages.includes('multilingual')
      ? 'multilingual'
      : languages.length > 4
        ? `${languages.length} languages`
        : languages.join(' ')

export const model_ls = command({
  name: 'model ls',
  summary: 'List the text encoders that ship and those that were pulled',
  details:
    'The one in use is marked *. Choose another with model.name, or with model.folder for one of your own; vectors of two digests do not compare, so everything is embedded anew. Files are not hashed here: `entrepot model verify` does that.',
  examples: ['entrepot model ls', 'entrepot model ls --json'],
  arguments: [],
  flags: data_flag,
  run: async (context) => {
    const { out, print } = context
    const models = await listModels(settingsWithData(context).model)
    print(
      models.map(({ name, where, folder, in_use, encoder, bytes, card }) => ({
        name,
        where,
        folder,
        in_use,
        ...(card instanceof Fault
          ? { error: { code: card.code, message: card.message } }
          : {
              digest: encoder,
              dims: card.dims,
              tokens_max: card.tokens_max,
              precision: card.precision,
              languages: card.languages,
              licence: card.licence,
              source: card.source,
              bytes,
            }),
      })),
      () =>
        tableText(
          out,
          [
            { title: '' },
            { title: 'name', style: 'bold' },
            { title: 'where', max: 40 },
            { title: 'dims', align: 'right' },
            { title: 'tokens', align: 'right' },
            { title: 'precision' },
            { title: 'size', align: 'right' },
            { title: 'languages' },
            { title: 'licence' },
            { title: 'digest', style: 'dim' },
          ],
          models.map((entry) => {
            const { card, in_use, name, encoder, bytes } = entry
            const left = [in_use ? '*' : '', name, whereText(entry)]
            return card instanceof Fault
              ? [...left, '', '', card.code, '', '', '', 'entrepot model verify']
              : [
                  ...left,
                  card.dims,
                  card.tokens_max,
                  card.precision ?? '–',
                  bytesText(bytes),
                  languagesText(card.languages),
                  card.licence ?? '–',
                  encoder.slice(0, 12),
                ]
          }),
        ),
    )
    return undefined
  },
})

/** What was pulled, for people. */
const pulledText = (out: Terminal, report: PullReport, in_use: boolean): string => {
  const { name, card, digest, folder, trial, replaced } = report
  const row = (title: string, text: string): string => `  ${out.paint('dim', title.padEnd(10))}${printable(text)}`
  const lines = [
    `${out.paint('green', '✓')} ${out.paint('bold', name)} ${report.unchanged ? 'is there already, and every file is the pinned one' : 'is there'}`,
    row('folder', folder),
    row('digest', digest),
    row(
      'vectors',
      `${card.dims} dimensions, ${card.pooling === 'graph' ? 'pooled in the graph' : `${card.pooling} of tokens`}, unit length`,
    ),
    row('texts', `at most ${card.tokens_max} tokens${card.prefix === '' ? '' : `, prefix ${JSON.stringify(card.prefix)}`}`),
    row('weights', `${card.precision ?? 'unknown precision'}, ${card.files.model.name}`),
    row(
      'licence',
      `${card.licence ?? 'unknown'}; ${card.documents.map((one) => one.name).join(', ') || 'no text of it came along'}`,
    ),
    row('source', card.source ?? ''),
  ]
  if (trial !== null)
    lines.push(
      row(
        'trial',
        `loaded in ${(trial.load_ms / 1_000).toFixed(1)} s; a text in ${trial.alone_ms.toFixed(1)} ms; ${bytesText(trial.rss_bytes)} resident with one worker`,
      ),
    )
  const warnings = [...report.notes]
  if (trial !== null && trial.self_cosine < self_cosine_min)
    warnings.push(
      `A text's vector depends on its batch here (cosine to itself falls to ${trial.self_cosine.toFixed(4)}): cache and replay are not exact with this model. Other weights of it may do better: --file.`,
    )
  if (replaced !== null && replaced !== digest)
    warnings.push(`It replaces ${replaced.slice(0, 12)}: what was embedded with that does not compare, and is embedded anew.`)
  for (const warning of warnings) lines.push(`${out.paint('yellow', 'note')} ${printable(warning)}`)
  if (!in_use) lines.push(out.paint('dim', `Use it: model.name: ${name}, or --set model.name=${name}`))
  return lines.join('\n')
}

const poolings = ['mean', 'cls', 'graph'] as const

export const model_pull = command({
  name: 'model pull',
  summary: 'Get a text encoder from a hub, a URL or a folder; pinned, tried, and resumed where it broke off',
  details: [
    'SOURCE is a hub id (owner/name, perhaps @revision), the URL of a model.json or its folder, or a folder that is there: one with a model.json, or as sentence-transformers or Optimum write it.',
    'From a hub the revision is resolved to its commit, and every file is fetched at it. Where the source has no model.json, one is derived: pooling from 1_Pooling, length from sentence_bert_config, inputs and output from the graph. Every file is pinned by SHA-256; licence and model card come along. The model is tried before it is there; half of one never is.',
    'HF_ENDPOINT names another hub, HF_TOKEN is sent to it and to nobody else; NODE_USE_ENV_PROXY=1 makes HTTPS_PROXY count.',
  ].join('\n'),
  examples: [
    'entrepot model pull intfloat/multilingual-e5-small --prefix "query: "',
    'entrepot model pull Xenova/bge-small-en-v1.5 --file onnx/model_fp16.onnx --pooling cls --name bge-small-fp16',
    'entrepot model pull https://models.example.com/kettle-encoder/ --sha256 <of its model.json>',
    'entrepot model pull ./exported --name ours --licence Apache-2.0',
  ],
  arguments: [{ name: 'source', doc: 'Hub id, URL or folder.' }],
  flags: {
    name: { type: 'text', value: 'NAME', doc: 'What to call it here; else the last part of the source.' },
    file: { type: 'text', value: 'PATH', doc: 'Which ONNX graph, where there are several.' },
    prefix: { type: 'text', value: 'TEXT', doc: 'Put before every text, e.g. "query: " for e5 models.' },
    pooling: {
      type: 'text',
      value: 'HOW',
      allowed: poolings,
      doc: 'mean or cls of the tokens, or graph; where the source does not say.',
    },
    output: { type: 'text', value: 'TENSOR', doc: 'Which tensor of the graph, where it is not to be guessed.' },
    'tokens-max': { type: 'integer', value: 'N', min: 8, doc: 'Cut texts here, where the source says no better.' },
    licence: { type: 'text', value: 'ID', doc: 'SPDX id of the licence, where the source names none.' },
    sha256: { type: 'text', value: 'HEX', doc: 'Of the model.json behind a URL; it pins the rest.' },
    ...data_flag,
  },
  run: async (context) => {
    const { flags, err, out, env, print, misuse } = context
    if (flags.sha256 !== undefined && !/^[0-9a-f]{64}$/u.test(flags.sha256))
      return misuse('--sha256 takes 64 lower-case hexadecimal digits.')
    const settings = settingsWithData(context)
    const set = (name: string): string | undefined => (env[name] === undefined || env[name] === '' ? undefined : env[name])
    const signal = context.stopping()
    let progress: Progress | undefined
    const end = (): void => {
      progress?.end()
      progress = undefined
    }
    try {
      const report = await pullModel({
        source: context.arguments.source,
        store: settings.model.store,
        name: flags.name,
        wishes: {
          file: flags.file,
          prefix: flags.prefix,
          pooling: flags.pooling as (typeof poolings)[number] | undefined,
          output: flags.output,
          tokens_max: flags['tokens-max'],
        },
        licence: flags.licence,
        sha256: flags.sha256,
        endpoint: set('HF_ENDPOINT'),
        token: set('HF_TOKEN'),
        clock: systemClock,
        signal,
        on_plan: ({ name, label, bytes_total, bytes_present }) => {
          err.line(
            err.paint(
              'dim',
              `${printable(label)} -> ${name}${bytes_present > 0 ? `, goes on at ${bytesText(bytes_present)}` : ''}`,
            ),
          )
          progress = openProgress(err, {
            label: name,
            unit: 'bytes',
            ...(bytes_total === null ? {} : { total: bytes_total }),
            done: bytes_present,
            amount: bytesText,
          })
        },
        on_bytes: (bytes, file) => {
          progress?.note(file)
          progress?.advance(bytes)
        },
        on_retry: (why, wait_ms) => {
          // On a line of its own, below the bar.
          if (progress !== undefined && err.interactive) err.line()
          err.line(err.paint('yellow', `${printable(why)}; again in ${(wait_ms / 1_000).toFixed(0)} s`))
        },
        on_step: (step) => {
          if (step === 'fetched') end()
          if (step === 'trial') err.line(err.paint('dim', 'Every file is pinned; trying it.'))
        },
      })
      const in_use = settings.model.folder === null && settings.model.name === report.name
      const { card, ...rest } = report
      print({ ...rest, card: { ...card, check: card.check.length }, in_use }, () => pulledText(out, report, in_use))
      return exit_codes.ok
    } catch (error) {
      // Stopping is not a fault of the source.
      if (!signal.aborted || !(error instanceof Fault) || error.code !== 'model.unavailable') throw error
      end()
      err.line('Stopped. What has come is kept: the same command goes on there.')
      return exit_codes.cut_short
    } finally {
      end()
    }
  },
})

const styles: Readonly<Record<ModelFinding['verdict'], Style>> = { ok: 'green', warn: 'yellow', fail: 'red' }

export const model_verify = command({
  name: 'model verify',
  summary: 'Check a text encoder: files, digest, licence, vocabulary, and what it computes here',
  details:
    'Every SHA-256, the digest, the papers, tokenizer against graph; then it is run: against the vectors of its card, alone and in a padded batch (else cache and replay would not be exact), and on odd texts. Exit code 1 when a check fails; a warning is none.',
  examples: ['entrepot model verify', 'entrepot model verify multilingual-e5-small', 'entrepot model verify ./my-model --json'],
  arguments: [{ name: 'model', doc: 'A name of `entrepot model ls`, or a folder; else the one in use.', optional: true }],
  flags: data_flag,
  run: async (context) => {
    const { out, json, print } = context
    const settings = settingsWithData(context)
    const place = await modelOfWord(context.arguments.model, settings)
    const findings: ModelFinding[] = []
    for await (const finding of verifyModel(place, {
      providers: settings.model.providers as readonly Provider[],
      clock: systemClock,
    })) {
      findings.push(finding)
      if (json) continue
      out.line(
        `${out.paint(styles[finding.verdict], finding.verdict.padEnd(4))}  ${finding.check.padEnd(10)}  ${printable(finding.says)}`,
      )
      if (finding.remedy !== undefined) out.line(`      ${' '.repeat(10)}  ${out.paint('dim', printable(finding.remedy))}`)
    }
    const failed = findings.filter(({ verdict }) => verdict === 'fail').length
    const warned = findings.filter(({ verdict }) => verdict === 'warn').length
    print({ name: place.name, folder: place.folder, sound: failed === 0, findings }, () =>
      failed > 0 ? `\n${failed} failed.` : warned > 0 ? `\nNothing failed; ${warned} to look at.` : '\nAll is well.',
    )
    return failed > 0 ? exit_codes.findings : exit_codes.ok
  },
})
