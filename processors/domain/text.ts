/** Text as people wrote it, made comparable: entities, tags, Unicode form, invisible characters, white space. */
import { html_entities } from './html-entities.ts'

/** Windows-1252 at 0x80 to 0x9F, which `&#150;` and its like mean in practice (WHATWG HTML, numeric character references). */
const windows1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ'

const ofCodePoint = (code: number): string => {
  if (code >= 0x80 && code <= 0x9f) return windows1252[code - 0x80]!
  return code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ? '\ufffd' : String.fromCodePoint(code)
}

const entity = /&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|([A-Za-z][A-Za-z0-9]{1,8}));/gu

/** Character references resolved once, so that `&amp;lt;` becomes `&lt;`; unknown names stay as they are. */
export const decodeEntities = (text: string): string =>
  text.includes('&')
    ? text.replace(entity, (all, dec: string | undefined, hex: string | undefined, name: string | undefined) =>
        dec !== undefined
          ? ofCodePoint(Number(dec))
          : hex !== undefined
            ? ofCodePoint(Number.parseInt(hex, 16))
            : (html_entities.get(name!) ?? all),
      )
    : text

/** Printable ASCII words with single spaces between: nothing to do. Also no `&`, which may begin an entity. */
const clean = /^(?:[!-%'-~]+(?: (?=[!-%'-~])|$))*$/u
// Zero-width joiner and non-joiner stay: Indic and Persian words and emoji need them.
const invisible =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
  /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]/gu
const space = /[\s\u0085]+/gu

/** One line: NFC, no control, zero-width or direction characters, white space single and trimmed, entities resolved. */
export const normaliseText = (text: string): string =>
  clean.test(text) ? text : decodeEntities(text.toWellFormed()).normalize('NFC').replace(invisible, '').replace(space, ' ').trim()

const line_space = /[^\S\n]+/gu

/** As normaliseText, but line breaks stay, at most one in a row. */
export const normaliseLines = (text: string): string =>
  clean.test(text)
    ? text
    : decodeEntities(text.toWellFormed())
        .normalize('NFC')
        .replace(/\r\n?|[\u0085\u2028\u2029]/gu, '\n')
        .replace(invisible, '')
        .replace(line_space, ' ')
        .replace(/ ?\n[ \n]*/gu, '\n')
        .trim()

const breaks: ReadonlySet<string> = new Set(
  'address article aside blockquote br dd div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol option p pre section table tbody td tfoot th thead title tr ul'.split(
    ' ',
  ),
)
const skipped: ReadonlySet<string> = new Set('script style template noscript iframe object svg head'.split(' '))
const tag_name = /[A-Za-z][A-Za-z0-9-]{0,30}/uy

/** End of a tag that begins at `from`, quotes respected; -1 when it never ends. */
const tagEnd = (html: string, from: number): number => {
  let quote = ''
  for (let i = from; i < html.length; i++) {
    const c = html[i]!
    if (quote !== '') {
      if (c === quote) quote = ''
    } else if (c === '>') return i
    else if ((c === '"' || c === "'") && html[i - 1] === '=') quote = c
  }
  return -1
}

/**
 * What a reader sees of an HTML fragment: tags gone, blocks and breaks as line breaks, scripts, styles and comments left out,
 * references resolved, then as normaliseLines. Linear in the length; a `<` that begins no tag is text.
 */
export const htmlToText = (html: string): string => {
  if (!html.includes('<')) return normaliseLines(html)
  const out: string[] = []
  let lower: string | undefined
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    if (open < 0) {
      out.push(html.slice(at))
      break
    }
    out.push(html.slice(at, open))
    if (html.startsWith('<!--', open)) {
      const end = html.indexOf('-->', open + 4)
      at = end < 0 ? html.length : end + 3
      continue
    }
    const closing = html[open + 1] === '/'
    tag_name.lastIndex = open + (closing ? 2 : 1)
    const name = tag_name.exec(html)?.[0].toLowerCase()
    if (name === undefined && html[open + 1] !== '!' && html[open + 1] !== '?') {
      out.push('<')
      at = open + 1
      continue
    }
    const end = tagEnd(html, open + 1)
    if (end < 0) {
      // An unfinished tag is text when nothing says otherwise: `a <b` may be a comparison.
      out.push(html.slice(open))
      break
    }
    at = end + 1
    if (name === undefined) continue
    if (breaks.has(name)) out.push('\n')
    if (!closing && skipped.has(name) && html[end - 1] !== '/') {
      lower ??= html.toLowerCase()
      const close = lower.indexOf(`</${name}`, at)
      const after = close < 0 ? -1 : html.indexOf('>', close)
      at = after < 0 ? html.length : after + 1
    }
  }
  return normaliseLines(out.join(''))
}

/** At most `max` UTF-16 units, never cutting a surrogate pair. */
export const clip = (text: string, max: number): string => {
  if (text.length <= max) return text
  const last = text.charCodeAt(max - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? max - 1 : max)
}
