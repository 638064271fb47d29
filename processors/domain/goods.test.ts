/** The leaves that read what goods are: codes, units, packs, links, languages, categories, and whose data must not pass. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { category_ids, categoryById, categoryOf, ownCategories } from './category.ts'
import { checkDigitOf, gtinOfIsbn10, readGtin } from './gtin.ts'
import { detectLanguage, languageOfScript, normaliseLanguage } from './language.ts'
import { packIn } from './pack.ts'
import { holdsRawId } from './privacy.ts'
import { factorOf, measured } from './units.ts'
import { normaliseUrl } from './url.ts'

describe('readGtin', () => {
  test.each([
    ['4006381333931', '04006381333931', 'VALID'],
    ['036000291452', '00036000291452', 'VALID'],
    ['96385074', '00000096385074', 'VALID'],
    ['10614141000415', '10614141000415', 'VALID'],
    ['978-3-16-148410-0', '09783161484100', 'VALID'],
    ['4006381333932', null, 'BAD_CHECK'],
    ['2000000000008', '02000000000008', 'RESTRICTED'],
    ['200000000004', '00200000000004', 'RESTRICTED'],
    ['9800000000007', '09800000000007', 'VALID'],
    ['9810000000006', '09810000000006', 'RESTRICTED'],
    ['9900000000004', '09900000000004', 'RESTRICTED'],
    ['0000000000000', null, 'ABSENT'],
    ['SKU-123', null, 'ABSENT'],
    ['12345', null, 'ABSENT'],
    ['', null, 'ABSENT'],
    [null, null, 'ABSENT'],
  ])('%s', (raw, gtin, status) => expect(readGtin(raw)).toMatchObject({ gtin, status }))
  test('one wrong digit is always noticed', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[1-9]\d{11}$/u), fc.nat(12), fc.integer({ min: 1, max: 9 }), (body, at, by) => {
        const code = body + checkDigitOf(body)
        expect(readGtin(code).status).not.toBe('BAD_CHECK')
        const wrong = code.slice(0, at) + ((Number(code[at]) + by) % 10) + code.slice(at + 1)
        expect(readGtin(wrong).status).toBe('BAD_CHECK')
      }),
    )
  })
  test('ISBN-10 becomes a GTIN-13', () => {
    expect(gtinOfIsbn10('3-16-148410-X')).toBe('9783161484100')
    expect(gtinOfIsbn10('316148410X')).toBe('9783161484100')
    expect(gtinOfIsbn10('3161484101')).toBeUndefined()
    expect(gtinOfIsbn10('123')).toBeUndefined()
  })
})

test('units to grams, millimetres and millilitres', () => {
  expect(measured(1.5, factorOf('pounds', 'weight')!)).toBe(680.388555)
  expect(measured(0.1, factorOf('KG', 'weight')!)).toBe(100)
  expect(measured(10, factorOf('INCH', 'length')!)).toBe(254)
  expect(measured(0.000125, factorOf('m3', 'volume')!)).toBe(125)
  expect(measured(12, factorOf('Fluid Ounces', 'volume')!)).toBe(354.88235475)
  expect([
    factorOf('kg', 'length'),
    factorOf('stone', 'weight'),
    factorOf('', 'weight'),
    factorOf('constructor', 'weight'),
  ]).toEqual([undefined, undefined, undefined, undefined])
})

test.each([
  ['SATA 5 Pack Wholesale', 5],
  ['WD800AAJS-70TDA0-5PK', 5],
  ['AA batteries, 24-pack', 24],
  ['Pack of 6 mugs', 6],
  ['12er-Pack Mineralwasser', 12],
  ['Lot de 3 chaussettes', 3],
  ['纯棉袜子 3件装', 3],
  ['RAM PK 2PK', 2],
  ['SET OF 3 CAKE TINS PANTRY DESIGN', undefined],
  ['puzzle 1000 pieces', undefined],
  ['2 pack, pack of 6', undefined],
  ['Backpack 2', undefined],
  ['1 pack', undefined],
  ['Battery pack', undefined],
])('pack size of %s', (title, units) => expect(packIn(title)?.units).toBe(units))

test.each([
  ['https://shop.example/p/1?x=1#y', 'https://shop.example/p/1?x=1#y'],
  ['//img.example/a.jpg', 'https://img.example/a.jpg'],
  ['http://shop.example', 'http://shop.example'],
  [' https://a.example/b c ', 'https://a.example/b%20c'],
  ['javascript:alert(1)', undefined],
  ['file:///etc/passwd', undefined],
  ['ftp://a.example', undefined],
  ['https://user:pw@a.example/', undefined],
  ['https:///path', undefined],
  ['https://a.example/"><script>', undefined],
  ['/relative', undefined],
  [`https://a.example/${'x'.repeat(2048)}`, undefined],
])('url %s', (raw, url) => expect(normaliseUrl(raw)).toBe(url))

test.each([
  ['jane.doe@example.com', true],
  ['mail to jane@example.co.uk please', true],
  ['+49 151 23456789', true],
  ['call (+1) 555 010 9999 now', true],
  ['450789469', false],
  ['c++ book', false],
  ['1+1', false],
  ['@handle', false],
  ['size 5+ 12 months', false],
])('%s holds a raw id: %s', (text, holds) => expect(holdsRawId(text)).toBe(holds))

test('language tags and scripts', () => {
  expect([
    normaliseLanguage('en_US'),
    normaliseLanguage('DE'),
    normaliseLanguage('zh-hans-cn'),
    normaliseLanguage('pt_BR.UTF-8'),
  ]).toEqual(['en-US', 'de', 'zh-Hans-CN', 'pt-BR'])
  expect([normaliseLanguage('english'), normaliseLanguage(''), normaliseLanguage('e')]).toEqual([undefined, undefined, undefined])
  expect(languageOfScript('女士跑步鞋 透气 Nike')).toBe('zh')
  expect(languageOfScript('レディース 靴')).toBe('ja')
  expect(languageOfScript('여성 러닝화')).toBe('ko')
  expect(languageOfScript('running shoes ™ 5 €')).toBeUndefined()
  expect(languageOfScript('a very long English title with one 中文 sign')).toBeUndefined()
})

test('categories are looked up, never guessed', () => {
  expect(categoryOf('Electronics')).toEqual({ id: 'electronics', path: ['Electronics'] })
  expect(categoryOf('Apparel & Accessories > Shoes')?.id).toBe('apparel')
  expect(categoryOf('Home & Garden > Kitchen & Dining > Mugs')?.id).toBe('home')
  expect(categoryOf('Health and Beauty')?.id).toBe('health')
  expect(categoryOf('Proliant HardDrive')).toBeUndefined()
  expect(categoryOf('electronic')).toBeUndefined()
  expect(categoryOf('constructor')).toBeUndefined()
  expect(categoryOf('Proliant harddrive', ownCategories({ 'Proliant HardDrive': 'electronics' }))?.id).toBe('electronics')
  for (const id of category_ids) expect(categoryOf(categoryById(id)!.path[0]!)?.id).toBe(id)
})

test.each([
  ['en', 'WHITE HANGING HEART T-LIGHT HOLDER'],
  ['en', "Women's running shoes, breathable mesh, size 8"],
  ['en', 'learning quickbooks 2007'],
  ['de', 'Damen Laufschuhe mit Dämpfung, Größe 38'],
  ['de', 'Kabelloser Kopfhörer mit Geräuschunterdrückung'],
  ['de', 'Bettwäsche aus Baumwolle 135x200 cm'],
  ['fr', 'Casque sans fil à réduction de bruit'],
  ['fr', 'Chaussures de course pour femme'],
  ['es', 'Auriculares inalámbricos con cancelación de ruido'],
  ['es', 'Zapatillas de correr para mujer'],
  ['it', 'Bottiglia in acciaio inossidabile da 750 ml'],
  ['nl', 'Draadloze koptelefoon met ruisonderdrukking'],
  ['nl', 'Adata HV100 1TB Zwart - Prijzen'],
  ['pt', 'Garrafa de aço inoxidável 750 ml'],
  ['pl', 'Butelka ze stali nierdzewnej 750 ml'],
  ['sv', 'Vattenflaska i rostfritt stål för barn'],
  ['tr', 'Kadın koşu ayakkabısı'],
  ['ru', 'Женские кроссовки для бега, новые'],
  ['uk', 'Жіночі кросівки для бігу'],
  ['ar', 'حذاء جري نسائي'],
  ['fa', 'کفش ورزشی زنانه پیاده‌روی'],
  ['hi', 'महिलाओं के लिए जूते'],
  ['vi', 'Giày chạy bộ nữ đế mềm'],
  ['zh', '女士跑步鞋 透气'],
  ['ja', 'ステンレスボトル 750ml'],
  ['ko', '여성 러닝화 통기성 메쉬'],
])('%s: %s', (language, text) => expect(detectLanguage(text)).toBe(language))

test.each([
  'HP 589715-B21',
  'WD800AAJS-70TDA0',
  'iPhone 13 Pro Max 256GB',
  'Samsung Galaxy S21',
  '379306-B21 HP 60-GB 5.4K 2.5 SATA HDD',
  '',
  '750 ml',
])('no language is guessed from %s', (text) => expect(detectLanguage(text)).toBeUndefined())
