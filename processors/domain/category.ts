/** One category tree for all platforms: the top level of Google's product taxonomy, and the words that mean each of its branches. */

/** Id, then its name in Google's taxonomy. */
const tree: Readonly<Record<string, string>> = {
  animals: 'Animals & Pet Supplies',
  apparel: 'Apparel & Accessories',
  arts: 'Arts & Entertainment',
  baby: 'Baby & Toddler',
  business: 'Business & Industrial',
  cameras: 'Cameras & Optics',
  electronics: 'Electronics',
  food: 'Food, Beverages & Tobacco',
  furniture: 'Furniture',
  hardware: 'Hardware',
  health: 'Health & Beauty',
  home: 'Home & Garden',
  luggage: 'Luggage & Bags',
  mature: 'Mature',
  media: 'Media',
  office: 'Office Supplies',
  religious: 'Religious & Ceremonial',
  software: 'Software',
  sports: 'Sporting Goods',
  toys: 'Toys & Games',
  vehicles: 'Vehicles & Parts',
}

/** Words that name one branch and no other. A word that could mean two (`accessories`, `cases`, `cables`) is in none. */
const words: Readonly<Record<string, string>> = {
  animals: 'animals|pets|pet supplies|pet food|dog|dogs|cat|cats|aquarium|dog supplies|cat supplies',
  apparel:
    'apparel|clothing|clothes|fashion|shoes|sneakers|boots|running shoes|footwear|dresses|dress|shirts|shirt|t-shirts|t-shirt|tops|hoodies|hoodie|jackets|jacket|coats|trousers|pants|jeans|skirts|socks|underwear|lingerie|swimwear|jewelry|jewellery|watches|sunglasses|hats|scarves|gloves|belts|womens clothing|mens clothing|handbags',
  arts: 'arts & entertainment|arts|crafts|arts & crafts|musical instruments|guitars|party supplies|hobbies',
  baby: 'baby|baby & toddler|toddler|diapers|strollers|baby care|nursery',
  business: 'business & industrial|industrial|industrial & scientific|medical supplies|food service|janitorial',
  cameras: 'cameras|camera|cameras & optics|photography|lenses|camera lenses|binoculars|telescopes|camcorders',
  electronics:
    'electronics|consumer electronics|computers|computer|computers & accessories|laptops|laptop|notebooks computers|tablets|smartphones|cell phones|mobile phones|phones|televisions|tv|tvs|headphones|earphones|speakers|audio|hard drives|hard drive|internal hard drives|external hard drives|solid state drives|processors|memory|memory internal|graphics cards|motherboards|monitors|printers|networking|routers|switches networking|network cards|power supplies|servers|storage|keyboards|computer mice|gps|video game consoles|electronic components',
  food: 'food|grocery|groceries|beverages|drinks|coffee|tea|snacks|wine|beer|chocolate|candy|food & drink|gourmet food',
  furniture: 'furniture|sofas|chairs|tables|beds|mattresses|desks|shelving|bookcases|outdoor furniture',
  hardware: 'hardware|tools|power tools|hand tools|plumbing|building materials|home improvement|tool accessories|locks',
  health:
    'health|beauty|health & beauty|health & personal care|personal care|cosmetics|makeup|skin care|skincare|hair care|fragrance|perfume|vitamins|supplements|oral care',
  home: 'home|home & garden|home & kitchen|kitchen|kitchenware|kitchen & dining|cookware|tableware|mugs|bedding|bed linen|bath|towels|decor|home decor|lighting|lamps|candles|garden|gardening|lawn & garden|plants|rugs|curtains|water bottles|drinkware|household appliances|vacuums',
  luggage: 'luggage|luggage & bags|bags|backpacks|backpack|suitcases|travel bags|duffel bags',
  mature: 'mature|adult|weapons',
  media: 'media|books|book|dvd|dvds|movies|music|cds|vinyl|magazines|blu-ray|sheet music|e-books',
  office: 'office supplies|office|stationery|paper|pens|notebooks|office products|school supplies|filing',
  religious: 'religious & ceremonial|religious|wedding ceremony supplies',
  software: 'software|computer software|video game software|antivirus|operating systems|business software',
  sports:
    'sports|sporting goods|sports & outdoors|outdoors|outdoor recreation|fitness|exercise|yoga|cycling|bicycles|bikes|camping|hiking|fishing|golf|football|soccer|tennis|running|skiing|swimming',
  toys: 'toys|toy|toys & games|games|board games|puzzles|puzzle|dolls|lego|action figures|building toys|stuffed animals|plush',
  vehicles: 'vehicles|vehicles & parts|automotive|auto parts|car parts|motorcycle parts|tires|car accessories|car electronics',
}

const normal = (phrase: string): string =>
  phrase
    .normalize('NFKC')
    .toLowerCase()
    .replace(/['’]/gu, '')
    .replace(/\band\b/gu, '&')
    .replace(/[\s_]+/gu, ' ')
    .trim()

const id_of: ReadonlyMap<string, string> = new Map([
  ...Object.entries(tree).map(([id, name]) => [normal(name), id] as const),
  ...Object.keys(tree).map((id) => [id, id] as const),
  ...Object.entries(words).flatMap(([id, phrases]) => phrases.split('|').map((phrase) => [normal(phrase), id] as const)),
])

export type Category = { readonly id: string; readonly path: readonly string[] }

/** Every category there is, as ids. */
export const category_ids: readonly string[] = Object.keys(tree)

/** A category by its id; undefined when there is none. */
export const categoryById = (id: string): Category | undefined => {
  const name = Object.hasOwn(tree, id) ? tree[id] : undefined
  return name === undefined ? undefined : { id, path: [name] }
}

/**
 * The branch that a platform's category means: the whole phrase, then the parts of a path such as `Home > Kitchen > Mugs`, the
 * narrowest first, each looked up as it stands. Undefined when no word is known; nothing is guessed from parts of words.
 * `own` adds a platform's words: phrase (normalised as here) to id.
 */
export const categoryOf = (source: string, own?: ReadonlyMap<string, string>): Category | undefined => {
  const find = (phrase: string): string | undefined => {
    const key = normal(phrase)
    return own?.get(key) ?? id_of.get(key)
  }
  const whole = find(source)
  if (whole !== undefined) return categoryById(whole)
  const parts = source.split(/\s*(?:>|›|»|\/|\|)\s*/u).reverse()
  if (parts.length < 2) return undefined
  for (const part of parts) {
    const id = find(part)
    if (id !== undefined) return categoryById(id)
  }
  return undefined
}

/** A platform's own words as categoryOf takes them. */
export const ownCategories = (table: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(Object.entries(table).map(([phrase, id]) => [normal(phrase), id]))
