/** F19: a model that is not the pinned one. The embed stage refuses; what needs no model goes on. */
import { cpSync, readFileSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { shipped_model } from '../../processors/adapters/onnx/pinned.ts'
import { counterOf, openEmbedded } from './embedded.ts'
import { type Check, type Scenario, says, zero } from './scenario.ts'

const weights = 'model_int8.onnx'
const card_damage = 'other dimensions on the card'

const flip = (file: string): void => {
  const bytes = readFileSync(file)
  bytes[bytes.length >> 1]! ^= 1
  writeFileSync(file, bytes)
}
/** What is done to a copy of the model's folder. */
const damages: readonly (readonly [string, (folder: string) => void])[] = [
  ['weights absent', (folder) => rmSync(join(folder, weights))],
  ['weights truncated', (folder) => truncateSync(join(folder, weights), 1_000_000)],
  ['one bit of the weights flipped', (folder) => flip(join(folder, weights))],
  ['one bit of the tokenizer flipped', (folder) => flip(join(folder, 'tokenizer.json'))],
  [
    'weights a link out of the folder',
    (folder) => {
      renameSync(join(folder, weights), `${folder}.onnx`)
      symlinkSync(`${folder}.onnx`, join(folder, weights))
    },
  ],
  [
    card_damage,
    (folder) => {
      const card = join(folder, 'model.json')
      writeFileSync(card, readFileSync(card, 'utf8').replace(/"dims":\s*384/, '"dims": 512'))
    },
  ],
]

export const F19: Scenario = {
  id: 'F19',
  title: 'a model that is not the pinned one',
  written: 'model file absent, truncated, 1 bit flipped, symlink out, wrong dims, vocab mismatch',
  short: false,
  run: async (storm) => {
    const checks: Check[] = []
    for (const [at, [name, damage]] of damages.entries()) {
      const model = join(storm.folder, `model-${at}`)
      cpSync(shipped_model.folder, model, { recursive: true })
      damage(model)
      const site = openEmbedded(storm.folder, join(storm.folder, `data-${at}`), `m${at}`)
      await site.publishItems(20)
      const set = [`model.folder=${model}`, `model.digest=${shipped_model.digest}`]
      const member = site.member(['canonicalize', 'embed', 'index'], set)
      try {
        member.start()
        await Promise.race([member.ready(), sleep(20_000)])
        const began_ms = performance.now()
        let consumed = 0
        while (performance.now() - began_ms < 8_000 && member.alive() && consumed < 20) {
          consumed = await counterOf(member, 'entrepot_records_consumed_total')
          await sleep(100)
        }
        const ready = await fetch(`${member.http()}/readyz`).then(
          ({ status }) => status,
          () => 0,
        )
        const codes = [
          ...new Set(
            member.lines().flatMap(({ code, message }) => {
              const told = code ?? /error ((?:model|index)\.\w+)/.exec(message ?? '')?.[1]
              return told?.startsWith('model.') === true || told === 'index.dimension' ? [told] : []
            }),
          ),
        ]
        const lived = member.alive()
        const exit = await member.term()
        const read = await site.read(['catalog.items.v1', 'catalog.vectors.v1'])
        const canonical = read.get('catalog.items.v1')!.length
        checks.push(
          says(`${name}: refused by code`, codes.length === 1, codes.join(', ') || `none; exit ${exit.code}`),
          ...(name === card_damage
            ? // The index has the dimensions of the card; with another number of them nothing can start.
              [says(`${name}: nothing starts`, exit.code === 78 && canonical === 0, `exit ${exit.code ?? exit.signal}`)]
            : [
                says(
                  `${name}: others run`,
                  lived && canonical === 20 && exit.code === 0,
                  `${canonical} of 20 canonical, exit ${exit.code ?? exit.signal}`,
                ),
                says(`${name}: not ready`, ready === 503, String(ready)),
              ]),
          zero(`${name}: vectors written`, read.get('catalog.vectors.v1')!.length),
        )
        const alone = site.member(['embed'], set)
        alone.start()
        const refusal = await alone.exited()
        checks.push(says(`${name}: alone it does not start`, refusal.code === 78, `exit ${refusal.code ?? refusal.signal}`))
        storm.say(`${name}: ${codes.join(', ')}; ${canonical} of 20 canonical; alone exit ${refusal.code}`)
      } finally {
        await member.kill9()
      }
    }
    return {
      ran: `${damages.length} damages, embedded mode`,
      injected: { 'damaged models': damages.length },
      checks,
      notes: ['vocab mismatch: a token id beyond the table is covered by adapters/onnx/embedder.test.ts'],
    }
  },
}
