/** The tokeniser that is written normalises as SentencePiece's nmt_nfkc does, and the chosen pieces follow the words. */
import { gzipSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { encode } from '@msgpack/msgpack'
import { Tokenizer } from 'tokenizers'
import { chosenPieces, tokenizerJson, wordsOf } from './vocabulary.ts'

const words = ['kettle', 'Kettle', 'steel', 'Quixotry', 'Wasserkocher', '水壶', 'かま', '주전자', 'กา']
const letters = [...new Set('abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789～é水壶')]
const pieces = ['<s>', '<pad>', '</s>', '<unk>', '▁', ...letters, 'SSD', 'GeForce', ...words.map((word) => `▁${word}`)]
const vocabulary = { pieces, scores: pieces.map((piece, id) => (id < 4 ? 0 : [...piece].length > 1 ? -5 : -10)) }
const tokenizer = Tokenizer.fromString(tokenizerJson(vocabulary))
const tokens = async (text: string): Promise<readonly string[]> => (await tokenizer.encode(text)).getTokens()

test.each([
  ['controls vanish', '\u0000ket\u0007tle\u007f', ['▁kettle']],
  ['spaces of all kinds are one', 'kettle\t\u200b\u00a0\u3000kettle', ['▁kettle', '▁kettle']],
  ['NFKC', 'ＳＳＤ', ['▁', 'SSD']],
  ['a combining accent is composed', 'e\u0301', ['▁', 'é']],
  ['U+FF5E is spared', '1～2', ['▁', '1', '～', '2']],
  ['what no piece has is unknown', '☃', ['▁', '☃']],
])('%s', async (_, text, expected) => {
  expect(await tokens(text)).toEqual(['<s>', ...expected, '</s>'])
})

test('pieces of words stay with either initial; signs, codes, scripts without spaces and single characters always; others go', async () => {
  const kept = await chosenPieces(vocabulary, (language) => (language === 'en' ? ['kettle'] : []))
  const stays = kept.map((id) => pieces[id]!)
  expect(stays).toEqual(expect.arrayContaining(['<s>', '<unk>', '▁', 'a', 'é', 'SSD', 'GeForce', '▁kettle', '▁Kettle', '▁水壶']))
  expect(stays).toEqual(expect.arrayContaining(['▁かま', '▁주전자', '▁กา']))
  expect(stays).not.toContain('▁Quixotry')
  expect(stays).not.toContain('▁Wasserkocher')
  expect([...kept].sort((a, b) => a - b)).toEqual(kept)
})

test('word lists are read by falling frequency, as many as are asked for', () => {
  const packed = gzipSync(encode([{ format: 'cB', version: 1 }, [], ['the', 'to'], [], ['kettle']]))
  expect(wordsOf(packed, 2)).toEqual(['the', 'to'])
  expect(wordsOf(packed, 10)).toEqual(['the', 'to', 'kettle'])
})
