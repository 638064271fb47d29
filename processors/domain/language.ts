/** Languages: BCP 47 tags as platforms write them, and the language of a text that names none. */

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

/**
 * Words that shops and their descriptions use in one language: function words first, then what goods are called and praised for.
 * A word of several languages stands in each and counts less.
 */
const words: Readonly<Record<string, string>> = {
  en: 'the and with for from your you this that are our not can has have its all by more of to is it be will which into without each made use used new set size black white red blue green men women womens mens kids shoes running bottle steel stainless leather cotton wireless cable case cover holder light heart vintage box bag paper design wall mini learning system software edition hard drive memory screen power battery water home kitchen garden book guide windows office adapter replacement genuine only pack piece premium professional digital high quality easy cleaning',
  de: 'und der die das mit für von aus den dem ein eine einen einer ist sind auch auf bei zum zur nicht oder ohne sowie wird durch sich im als wie ihr ihre sie bis nach über unter größe farbe schwarz weiß rot blau grün herren damen kinder schuhe flasche edelstahl kabel hülle tasche leder baumwolle kabellos kabelloser kopfhörer stück neu garten küche haus akku ladegerät rasenmäher bettwäsche handtuch hochwertig hochwertige lieferung inkl becher lampe schreibtischlampe leicht dimmbar',
  fr: 'le la les des du de et avec pour une un dans sur par est sont au aux en sans ou plus vos votre nos notre ce cette qui que taille couleur noir noire blanc blanche rouge bleu vert homme femme enfant enfants chaussures bouteille acier inoxydable cuir coton sans-fil casque sac boîte cuisine maison jardin livre câble étui housse qualité',
  es: 'el la los las de del con para una un en por es son al sin más su sus este esta que talla color negro negra blanco blanca rojo azul verde hombre mujer niño niños zapatos zapatillas botella acero inoxidable cuero algodón inalámbrico inalámbricos auriculares bolsa caja cocina casa jardín libro cable funda calidad',
  it: 'il lo la gli le di del della dei con per una un in da dal sono al alla senza più che questo questa taglia colore nero nera bianco bianca rosso blu verde uomo donna bambino bambini scarpe bottiglia acciaio inossidabile pelle cotone cuffie borsa scatola cucina casa giardino libro cavo custodia qualità fili',
  nl: 'de het een van en met voor op in uit is zijn bij aan naar zonder of meer dan deze dit die niet ook wordt maat kleur zwart wit rood blauw groen heren dames kinderen schoenen fles roestvrij staal leer katoen draadloos draadloze koptelefoon hoes hoesje tas doos keuken huis tuin boek kabel prijzen kwaliteit geschikt',
  pt: 'os as de do da dos das com para uma um em por são ao sem ou mais seu sua este esta que tamanho cor preto preta branco branca vermelho azul verde homem mulher feminino masculino criança tênis sapatos garrafa aço inoxidável couro algodão fones bolsa caixa cozinha casa jardim livro cabo capa qualidade',
  pl: 'na do dla od po przy bez lub oraz jest są nie się który rozmiar kolor czarny biały czerwony niebieski zielony męskie damskie dziecięce buty butelka stal stali nierdzewnej skóra bawełna bezprzewodowe słuchawki torba pudełko kuchnia dom ogród książka kabel etui jakość',
  sv: 'och med för på av en ett den det som är till från eller utan mer din dina storlek färg svart vit röd blå grön herr dam damer barn skor löparskor flaska rostfritt stål läder bomull trådlösa hörlurar väska låda kök hem trädgård bok kabel fodral kvalitet',
  da: 'og med for på af en et den det som er til fra eller uden mere din dine størrelse farve sort hvid rød blå grøn herre dame damer børn sko løbesko flaske rustfrit stål læder bomuld trådløse høretelefoner taske kasse køkken hjem have bog kabel etui kvalitet',
  no: 'og med for på av en et den det som er til fra eller uten mer din dine størrelse farge svart hvit rød blå grønn herre dame damer barn sko løpesko flaske rustfritt stål skinn bomull trådløse hodetelefoner veske boks kjøkken hjem hage bok kabel deksel kvalitet',
  fi: 'ja on ei tai kanssa ilman sekä myös joka koko väri musta valkoinen punainen sininen vihreä miesten naisten lasten kengät pullo ruostumaton teräs nahka puuvilla langattomat kuulokkeet laukku laatikko keittiö koti puutarha kirja kaapeli kotelo laatu',
  cs: 'na do od po při bez nebo je jsou se který velikost barva černá bílá červená modrá zelená pánské dámské dětské boty láhev nerezová ocel kůže bavlna bezdrátová sluchátka taška krabice kuchyně dům zahrada kniha kabel pouzdro kvalita',
  hu: 'és az egy hogy nem is van vagy nélkül méret szín fekete fehér piros kék zöld férfi női gyerek cipő palack rozsdamentes acél bőr pamut vezeték nélküli fejhallgató táska doboz konyha ház kert könyv kábel tok minőség',
  ro: 'și cu pentru de la din în pe un este sunt fără sau mai mărime culoare negru alb roșu albastru verde bărbați femei copii pantofi sticlă oțel inoxidabil piele bumbac căști geantă cutie bucătărie casă grădină carte cablu husă calitate',
  tr: 've ile için bir bu da de daha olan çok veya beden renk siyah beyaz kırmızı mavi yeşil erkek kadın çocuk ayakkabı ayakkabısı koşu şişe çelik paslanmaz deri pamuk kablosuz kulaklık çanta kutu mutfak ev bahçe kitap kablo kılıf kalite',
  id: 'dan dengan untuk dari yang di ke ini itu atau tanpa lebih ukuran warna hitam putih merah biru hijau pria wanita anak sepatu botol baja kulit katun nirkabel tas kotak dapur rumah kebun buku kabel casing kualitas',
}
const letters: readonly (readonly [sign: RegExp, languages: readonly string[]])[] = [
  [/ß/u, ['de']],
  [/[ñ¿¡]/u, ['es']],
  [/[ãõ]/u, ['pt']],
  [/[łżźśąę]/u, ['pl']],
  [/[ěřůťď]/u, ['cs']],
  [/[őű]/u, ['hu']],
  [/[ășțţ]/u, ['ro']],
  [/[ğşı]/u, ['tr']],
  [/[œûîï]/u, ['fr']],
  [/[æø]/u, ['da', 'no']],
  [/å/u, ['sv', 'da', 'no']],
  [/ä/u, ['de', 'sv', 'fi']],
  [/ü/u, ['de', 'tr', 'hu']],
  [/[ạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹđ]/u, ['vi']],
]
const languages_of = new Map<string, string[]>()
for (const [language, list] of Object.entries(words))
  for (const word of new Set(list.split(' '))) {
    const known = languages_of.get(word)
    if (known === undefined) languages_of.set(word, [language])
    else known.push(language)
  }

const word_pattern = /(?<![\p{L}\p{N}])\p{L}{2,24}(?![\p{L}\p{N}])/gu
const cyrillic: readonly (readonly [language: string, sign: RegExp])[] = [
  ['uk', /[іїєґ]/iu],
  ['sr', /[ђјљњћџ]/iu],
  ['ru', /[ыэё]/iu],
  ['bg', /\p{L}ъ\p{L}/iu],
]

/**
 * The language of a text, or undefined when it does not say: by script, else by the words of 17 languages and the letters that few
 * of them use. Names and part numbers count for nothing; two languages that score alike are no answer. A few microseconds.
 */
export const detectLanguage = (text: string): string | undefined => {
  const by_script = languageOfScript(text)
  if (by_script !== undefined) return by_script
  if ((text.match(/\p{Script=Cyrillic}/gu)?.length ?? 0) >= 3) return cyrillic.find(([, sign]) => sign.test(text))?.[0] ?? 'ru'
  if ((text.match(/\p{Script=Arabic}/gu)?.length ?? 0) >= 3) return /[پچژگ]/u.test(text) ? 'fa' : 'ar'
  if ((text.match(/\p{Script=Devanagari}/gu)?.length ?? 0) >= 3) return 'hi'
  const lower = text.toLowerCase().normalize('NFC')
  const scores = new Map<string, number>()
  const add = (among: readonly string[], weight: number) => {
    for (const language of among) scores.set(language, (scores.get(language) ?? 0) + weight / among.length)
  }
  for (const word of new Set(lower.match(word_pattern))) {
    const among = languages_of.get(word)
    if (among !== undefined) add(among, 1)
  }
  for (const [sign, among] of letters) if (sign.test(lower)) add(among, among.length === 1 ? 1 : 0.8)
  let best: string | undefined
  let most = 0
  let second = 0
  for (const [language, score] of scores) {
    if (score > most) {
      second = most
      most = score
      best = language
    } else if (score > second) second = score
  }
  return most >= 1 && most >= 1.5 * second ? best : undefined
}
