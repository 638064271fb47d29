/** Languages: BCP 47 tags as platforms write them, and what the script of a text alone says. */

const tag = /^([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|\d{3}))?$/iu

/** `en_US`, `EN-us`, `zh-hans-cn` in the usual case (`en-US`, `zh-Hans-CN`); undefined for what is no such tag. `und` stays. */
export const normaliseLanguage = (raw: string): string | undefined => {
  const match = tag.exec(raw.trim().replaceAll('_', '-').split('.')[0]!)
  if (match === null) return undefined
  const [, language, script, region] = match
  return (
    language!.toLowerCase() +
    (script === undefined ? '' : `-${script[0]!.toUpperCase()}${script.slice(1).toLowerCase()}`) +
    (region === undefined ? '' : `-${region.toUpperCase()}`)
  )
}

/** Letters of scripts that one language of commerce writes. */
const scripts: readonly (readonly [language: string, letters: RegExp])[] = [
  ['ja', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['ko', /\p{Script=Hangul}/gu],
  ['zh', /\p{Script=Han}/gu],
  ['th', /\p{Script=Thai}/gu],
  ['el', /\p{Script=Greek}/gu],
  ['he', /\p{Script=Hebrew}/gu],
  ['ka', /\p{Script=Georgian}/gu],
  ['hy', /\p{Script=Armenian}/gu],
  ['ta', /\p{Script=Tamil}/gu],
  ['te', /\p{Script=Telugu}/gu],
]
const beyond_latin = /[^\p{Script=Latin}\p{Script=Common}\p{Script=Inherited}]/u
const latin_letters = /\p{Script=Latin}/gu

/** The language that the script gives away, when at least two of its letters are there and Latin does not outnumber them three to one. */
export const languageOfScript = (text: string): string | undefined => {
  if (!beyond_latin.test(text)) return undefined
  const latin = text.match(latin_letters)?.length ?? 0
  for (const [language, letters] of scripts) {
    const count = text.match(letters)?.length ?? 0
    if (count >= 2 && count * 3 > latin) return language
  }
  return undefined
}

const word = /(?<![\p{L}\p{N}])\p{L}{2,}(?![\p{L}\p{N}])/gu
const shouted = /^\p{Lu}+$/u

/**
 * The words of a text that can tell a language: letters only, part numbers and sizes left out, and capitals left out unless
 * everything is in capitals. Undefined when fewer than three are left: then no detector can be trusted.
 */
export const tellingWords = (text: string): string | undefined => {
  const words = text.match(word) ?? []
  const spoken = words.filter((w) => !shouted.test(w))
  const telling = spoken.length >= 3 || words.length < 4 || spoken.length * 2 > words.length ? spoken : words
  return telling.length < 3 ? undefined : telling.join(' ').toLowerCase()
}
