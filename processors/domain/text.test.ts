import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { clip, decodeEntities, htmlToText, normaliseLines, normaliseText } from './text.ts'

describe('normaliseText', () => {
  test.each([
    ['plain words', 'plain words'],
    ['  two   spaces \t and\na break ', 'two spaces and a break'],
    ['A&nbsp;B&amp;C &#39;x&#x27;', "A B&C 'x'"],
    ['&amp;lt;b&amp;gt;', '&lt;b&gt;'],
    ['AT&T and R&D;', 'AT&T and R&D;'],
    ['caf\u0065\u0301', 'café'],
    ['zero\u200bwidth\ufeff', 'zerowidth'],
    ['\u202eevil\u202c', 'evil'],
    ['soft\u00adhyphen', 'softhyphen'],
    ['全角　空白', '全角 空白'],
    ['family 👨\u200d👩\u200d👧', 'family 👨\u200d👩\u200d👧'],
    ['a\ud800b', 'a\ufffdb'],
    ['&#150;&#0;&#xD800;&#1114112;', '–\ufffd\ufffd\ufffd'],
    ['bell\u0007', 'bell'],
    ['', ''],
  ])('%j becomes %j', (from, to) => expect(normaliseText(from)).toBe(to))

  test('is idempotent once no entity is left, well-formed and free of controls', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const once = normaliseText(text)
        expect(once.isWellFormed()).toBe(true)
        expect(once).toBe(once.trim())
        // biome-ignore lint/suspicious/noControlCharactersInRegex: this is what must be gone
        expect(once).not.toMatch(/[\u0000-\u001f]| {2}/u)
        if (!once.includes('&')) expect(normaliseText(once)).toBe(once)
      }),
    )
  })
})

describe('htmlToText', () => {
  test.each([
    ['<p>One</p><p>Two</p>', 'One\nTwo'],
    ['a<br>b<br/>c', 'a\nb\nc'],
    ['<ul><li>Red</li><li>Blue</li></ul>', 'Red\nBlue'],
    ['<b>bold</b>ly', 'boldly'],
    ['x<script>alert("</p>")</script>y', 'xy'],
    ['x<STYLE>p{}</Style >y', 'xy'],
    ['x<!-- <p>hidden</p> -->y', 'xy'],
    ['<a href="a>b" title=\'>\'>link</a>', 'link'],
    ['5 < 6 and 7 > 3', '5 < 6 and 7 > 3'],
    ['a <b', 'a <b'],
    ['&lt;p&gt; stays', '<p> stays'],
    ['<script>never closed', ''],
    ['<!DOCTYPE html><p>x', 'x'],
    ['no tags &eacute;', 'no tags é'],
  ])('%j becomes %j', (from, to) => expect(htmlToText(from)).toBe(to))

  test('is linear on hostile input', () => {
    const started = performance.now()
    for (const part of ['<', '<a ', '<script>', '<!--', '&amp;', '<p "', '</', '<a ="'])
      expect(htmlToText(part.repeat(Math.floor(65_536 / part.length))).length).toBeLessThanOrEqual(65_536)
    expect(performance.now() - started).toBeLessThan(2_000)
  })
  test('leaves no element of a generated document', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,8}$/u), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(words, fc.constantFrom('p', 'div', 'b', 'span', 'li'), (texts, tag) => {
        const html = texts.map((text) => `<${tag} class="x">${text}</${tag}>`).join('')
        expect(htmlToText(html).replace(/\s/gu, '')).toBe(texts.join(''))
      }),
    )
  })
})

test('normaliseLines keeps single breaks', () => expect(normaliseLines(' a \r\n\r\n  b\u2028c ')).toBe('a\nb\nc'))
test('clip never cuts a pair', () => {
  expect(clip('ab👍', 3)).toBe('ab')
  expect(clip('ab👍', 4)).toBe('ab👍')
})
test('decodeEntities knows all names of HTML 4', () =>
  expect(decodeEntities('&hearts;&Omega;&thetasym;&yuml;&apos;')).toBe("♥Ωϑÿ'"))
