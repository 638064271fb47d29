/** The demo market's five shops: which products each lists, and the payload each publishes, in its own fields, words and units. */
import type { Random } from '../../ports/random.ts'
import { between, checkDigit, type Product, pick, shuffled } from './products.ts'
import { colors, type Phrase } from './words.ts'

/** Map names of the platforms that list items. */
export const shop_platforms = ['shopify', 'woocommerce', 'amazon', 'taobao', 'tiktok'] as const
export type ShopPlatform = (typeof shop_platforms)[number]

/** What the payloads leave out, as the setting `platforms.shops` gives it. One realm: a shopper is one user wherever they log in. */
export const market_shops: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  shopify: {
    merchant_id: 'lumen-oak',
    currency: 'EUR',
    market: 'DE',
    language: 'en',
    time_zone: 'Europe/Berlin',
    user_realm: 'market',
  },
  woocommerce: {
    merchant_id: 'hafenladen',
    currency: 'EUR',
    market: 'DE',
    language: 'de',
    time_zone: 'Europe/Berlin',
    user_realm: 'market',
  },
  amazon: { merchant_id: 'A2LUMEN', marketplace_id: 'ATVPDKIKX0DER', currency: 'USD', market: 'US' },
  taobao: { merchant_id: 'huokeji', currency: 'CNY', market: 'CN', language: 'zh', time_zone: 'Asia/Shanghai' },
  tiktok: { merchant_id: 'trendbay', currency: 'GBP', market: 'GB' },
  ga4: {
    merchant_id: 'lumen-oak',
    catalog_platform: 'shopify',
    catalog_merchant_id: 'lumen-oak',
    currency: 'EUR',
    market: 'DE',
    user_realm: 'market',
  },
  segment: {
    merchant_id: 'hafenladen',
    catalog_platform: 'woocommerce',
    catalog_merchant_id: 'hafenladen',
    currency: 'EUR',
    market: 'DE',
    user_realm: 'market',
  },
}

/** Euros for one unit, for the setting `canonicalize.rates`. */
export const market_rates: Readonly<Record<string, number>> = { USD: 0.92, GBP: 1.17, CNY: 0.127 }

export const shop_names: Readonly<Record<ShopPlatform, string>> = {
  shopify: 'Shopify',
  woocommerce: 'WooCommerce',
  amazon: 'Amazon',
  taobao: 'Taobao',
  tiktok: 'TikTok Shop',
}

type Variant = { readonly id: string; readonly sku: string; readonly color: Phrase | null; readonly gtin: string | null }

/** One shop's listing of one product. */
export type Listing = {
  readonly platform: ShopPlatform
  readonly product: Product
  /** The platform's id of the listing: digits, or an ASIN. */
  readonly id: string
  /** One or more; `id` repeats the listing's where the platform has no variants. */
  readonly variants: readonly Variant[]
  /** In the shop's currency. */
  price_minor: number
  quantity: number
  /** Epoch ms of the last change. */
  updated_at: number
  deleted: boolean
}

const rate: Readonly<Record<ShopPlatform, number>> = { shopify: 1, woocommerce: 1, amazon: 0.92, taobao: 0.127, tiktok: 1.17 }

const baseOf: Readonly<Record<ShopPlatform, bigint>> = {
  // Beyond 2^53, as in Shopify's own sample: read as a double, neighbours would become one.
  shopify: 788_032_119_674_290_000n,
  woocommerce: 1_400n,
  amazon: 0n,
  taobao: 52_314_800_000n,
  tiktok: 172_938_255_000_000_000n,
}

const asin = (product: Product): string => {
  const letters = '0123456789ABCDFGHJKLMNPQRSTVWXYZ'
  let rest = product.number * 7_919 + 104_729
  let code = ''
  for (let i = 0; i < 8; i++) {
    code = letters[rest % letters.length]! + code
    rest = Math.floor(rest / letters.length) + 17 * i
  }
  return `B0${code}`
}

/** Barcodes as shops type them: mostly the maker's; some wrong, some from the shop's own range, some no number at all. */
const typedBarcode = (random: Random, gtin: string | null): string | null => {
  if (gtin === null) return random.next() < 0.1 ? pick(random, ['n/a', '0000000000000', 'SELF-MADE']) : null
  const chance = random.next()
  if (chance < 0.05) return `${gtin.slice(0, 12)}${(Number(gtin[12]) + 1 + Math.floor(random.next() * 9)) % 10}`
  if (chance < 0.08) {
    const own = `20${gtin.slice(2, 12)}`
    return `${own}${checkDigit(own)}`
  }
  return chance < 0.15 ? null : gtin
}

const listingId = (platform: ShopPlatform, product: Product): string =>
  platform === 'amazon' ? asin(product) : String(baseOf[platform] + BigInt(product.number) * (platform === 'shopify' ? 2n : 7n))

const makeListing = (random: Random, platform: ShopPlatform, product: Product, now_ms: number): Listing => {
  const id = listingId(platform, product)
  const two = (platform === 'shopify' || platform === 'tiktok') && product.color !== null && random.next() < 0.2
  const dyed = two
    ? [
        product.color,
        pick(
          random,
          colors.filter((color) => color !== product.color),
        ),
      ]
    : [product.color]
  const sku = `${product.category.id.slice(0, 3).toUpperCase()}-${String(product.number).padStart(4, '0')}`
  const variants = dyed.map((color, at): Variant => {
    const own =
      platform === 'shopify' ? String(808_950_810_900_000_000n + BigInt(product.number) * 10n + BigInt(at)) : `${id}${at}`
    return {
      id: platform === 'shopify' || platform === 'tiktok' ? own : id,
      sku: at === 0 ? sku : `${sku}-${at + 1}`,
      color,
      gtin: at === 0 ? typedBarcode(random, product.gtin) : null,
    }
  })
  const price = (product.eur_minor * (0.88 + 0.24 * random.next())) / rate[platform]
  return {
    platform,
    product,
    id,
    variants,
    price_minor: Math.max(199, Math.round(price / 100) * 100 - pick(random, [1, 5, 10])),
    quantity: random.next() < 0.04 ? 0 : between(random, 1, 240),
    updated_at: now_ms - between(random, 1, 20 * 86_400) * 1_000,
    deleted: false,
  }
}

/** Every listing: each product at one to four of the five shops, most at two or three. */
export const makeListings = (random: Random, products: readonly Product[], now_ms: number): Listing[] =>
  products.flatMap((product) => {
    const shops = pick(random, [1, 2, 2, 2, 3, 3, 4])
    return shuffled(random, shop_platforms)
      .slice(0, shops)
      .map((platform) => makeListing(random, platform, product, now_ms))
  })

const decimal = (minor: number): string => (minor / 100).toFixed(2)
const seconds = (ms: number): number => Math.floor(ms / 1_000)

/** `2026-11-23T10:12:00+01:00`: the same instant as a shop in that zone writes it. */
const isoAt = (ms: number, offset_hours: number): string =>
  `${new Date(ms + offset_hours * 3_600_000).toISOString().slice(0, 19)}${offset_hours < 0 ? '-' : '+'}${String(Math.abs(offset_hours)).padStart(2, '0')}:00`
const naive = (ms: number, offset_hours: number): string =>
  new Date(ms + offset_hours * 3_600_000).toISOString().slice(0, 19).replace('T', ' ')

const titleOf = {
  shopify: ({ product }: Listing): string =>
    product.title === null
      ? `${product.brand} ${product.model} ${product.kind.name.en}`
      : `${product.title.en} (${product.kind.name.en})`,
  amazon: ({ product, variants }: Listing): string =>
    [
      product.title === null
        ? `${product.brand} ${product.model} ${product.kind.name.en}`
        : `${product.title.en}: ${product.kind.name.en}`,
      ...product.features.map((feature) => feature.en),
      ...(variants[0]!.color === null ? [] : [variants[0]!.color.en]),
    ].join(', '),
  woocommerce: ({ product }: Listing): string =>
    product.title === null
      ? `${product.kind.name.de[0]!.toUpperCase()}${product.kind.name.de.slice(1)} ${product.brand} ${product.model} &#8211; ${product.features[0]!.de}`
      : `${product.title.de} &#8211; ${product.kind.name.de}`,
  // At most 60 bytes in GBK: 30 Chinese characters.
  taobao: ({ product, variants }: Listing): string => {
    const words = [
      product.title === null ? `${product.brand} ${product.model}` : product.title.zh,
      product.kind.name.zh,
      ...product.features.map((feature) => feature.zh),
      variants[0]!.color?.zh ?? '',
    ]
    let title = ''
    for (const word of words) {
      const longer = `${title} ${word}`.trim()
      if ([...longer].reduce((bytes, c) => bytes + (c > '\x7f' ? 2 : 1), 0) <= 60) title = longer
    }
    return title
  },
  tiktok: ({ product }: Listing): string =>
    product.title === null
      ? `🔥 ${product.kind.name.en} ${product.brand} ${product.model} | ${product.features[0]!.en}`
      : `📚 ${product.title.en} | ${product.kind.name.en}`,
} as const

const shopify = (listing: Listing): unknown => {
  const { product, variants, updated_at } = listing
  const id = BigInt(listing.id)
  return {
    id,
    admin_graphql_api_id: `gid://shopify/Product/${id}`,
    title: titleOf.shopify(listing),
    body_html: `<p>${product.kind.name.en} by <strong>${product.brand.replaceAll('&', '&amp;')}</strong>.</p><ul>${product.features
      .map((feature) => `<li>${feature.en}</li>`)
      .join('')}</ul>`,
    vendor: product.brand,
    product_type: `${product.category.path.join(' > ')} > ${product.kind.name.en}`,
    handle: titleOf
      .shopify(listing)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-'),
    status: 'active',
    published_at: isoAt(updated_at - 86_400_000, 1),
    published_scope: 'global',
    template_suffix: null,
    tags: [product.category.name.en, product.brand, ...product.features.map((feature) => feature.en)].join(', '),
    created_at: isoAt(updated_at - 30 * 86_400_000, 1),
    updated_at: isoAt(updated_at, 1),
    category: null,
    options: [
      {
        id: id + 1n,
        product_id: id,
        name: variants[0]!.color === null ? 'Title' : 'Color',
        position: 1,
        values: variants.map((variant) => variant.color?.en ?? 'Default Title'),
      },
    ],
    images: [],
    image: null,
    media: [],
    variant_gids: variants.map((variant) => ({
      admin_graphql_api_id: `gid://shopify/ProductVariant/${variant.id}`,
      updated_at: isoAt(updated_at, 1),
    })),
    variants: variants.map((variant, at) => ({
      id: BigInt(variant.id),
      admin_graphql_api_id: `gid://shopify/ProductVariant/${variant.id}`,
      product_id: id,
      title: variant.color?.en ?? 'Default Title',
      sku: variant.sku,
      barcode: variant.gtin,
      price: decimal(listing.price_minor),
      compare_at_price: at === 0 && product.number % 5 === 0 ? decimal(Math.round(listing.price_minor * 1.25)) : null,
      position: at + 1,
      inventory_policy: 'deny',
      inventory_quantity: listing.quantity,
      old_inventory_quantity: listing.quantity,
      inventory_item_id: BigInt(variant.id) + 1_000_000n,
      option1: variant.color?.en ?? 'Default Title',
      option2: null,
      option3: null,
      image_id: null,
      taxable: true,
      created_at: isoAt(updated_at - 30 * 86_400_000, 1),
      updated_at: isoAt(updated_at, 1),
    })),
  }
}

const woocommerce = (listing: Listing): unknown => {
  const { product, variants, updated_at } = listing
  const price = decimal(listing.price_minor)
  const id = Number(listing.id)
  const slug = `artikel-${id}`
  return {
    id,
    name: titleOf.woocommerce(listing),
    slug,
    permalink: `https://hafenladen.example/produkt/${slug}/`,
    date_created: naive(updated_at - 30 * 86_400_000, 1).replace(' ', 'T'),
    date_created_gmt: naive(updated_at - 30 * 86_400_000, 0).replace(' ', 'T'),
    date_modified: naive(updated_at, 1).replace(' ', 'T'),
    date_modified_gmt: naive(updated_at, 0).replace(' ', 'T'),
    type: 'simple',
    status: 'publish',
    featured: false,
    catalog_visibility: 'visible',
    description: `<p>${product.brand.replaceAll('&', '&amp;')}: ${product.features.map((feature) => feature.de).join(', ')}.</p>`,
    short_description: `<p>${product.features[0]!.de}</p>\n`,
    sku: variants[0]!.sku,
    price,
    regular_price: price,
    sale_price: '',
    on_sale: false,
    purchasable: true,
    total_sales: between01(product.number, 400),
    manage_stock: true,
    stock_quantity: listing.quantity,
    stock_status: listing.quantity > 0 ? 'instock' : 'outofstock',
    weight: (product.weight_g / 1_000).toFixed(2).replace(/0$/, ''),
    dimensions: { length: '', width: '', height: '' },
    average_rating: (3 + between01(product.number, 20) / 10).toFixed(2),
    rating_count: between01(product.number, 90),
    parent_id: 0,
    categories: [{ id: 15 + product.category.id.length, name: product.category.name.de, slug: product.category.id }],
    tags: [],
    images: [{ id: id + 9_000, src: `https://hafenladen.example/bilder/${id}.jpg`, name: '', alt: '' }],
    attributes: [
      { id: 1, name: 'Marke', position: 0, visible: true, variation: false, options: [product.brand] },
      ...(variants[0]!.color === null
        ? []
        : [{ id: 2, name: 'Farbe', position: 1, visible: true, variation: false, options: [variants[0]!.color.de] }]),
    ],
    variations: [],
    grouped_products: [],
    meta_data: variants[0]!.gtin === null ? [] : [{ id: id + 50_000, key: '_global_unique_id', value: variants[0]!.gtin }],
    global_unique_id: variants[0]!.gtin ?? '',
  }
}

/** A whole number below `below` that only `n` decides. */
const between01 = (n: number, below: number): number => (n * 7_919 + 31) % below

const amazon = (listing: Listing): unknown => {
  const { product, variants } = listing
  const marketplace_id = market_shops['amazon']!['marketplace_id']!
  const said = (value: string | number) => [{ value, language_tag: 'en_US', marketplace_id }]
  const gtin = variants[0]!.gtin
  return {
    asin: listing.id,
    attributes: {
      item_name: said(titleOf.amazon(listing)),
      brand: said(product.brand),
      bullet_point: product.features.map((feature) => ({ value: feature.en, language_tag: 'en_US', marketplace_id })),
      ...(variants[0]!.color === null ? {} : { color: said(variants[0]!.color.en) }),
      ...(product.model === null ? {} : { model_number: said(product.model) }),
      product_description: said(
        `${product.kind.name.en} by ${product.brand}: ${product.features.map((feature) => feature.en).join('; ')}.`,
      ),
      list_price: [{ value: listing.price_minor / 100, currency: 'USD', marketplace_id }],
      item_weight: [{ value: Number((product.weight_g / 453.59237).toFixed(3)), unit: 'pounds', marketplace_id }],
    },
    identifiers: [
      {
        marketplaceId: marketplace_id,
        identifiers: gtin === null ? [] : [{ identifierType: 'EAN', identifier: gtin }],
      },
    ],
    images: [
      {
        marketplaceId: marketplace_id,
        images: [{ variant: 'MAIN', link: `https://images.example/${listing.id}.jpg`, height: 1_000, width: 1_000 }],
      },
    ],
    productTypes: [{ marketplaceId: marketplace_id, productType: product.category.id.toUpperCase() }],
    salesRanks: [],
    summaries: [
      {
        marketplaceId: marketplace_id,
        itemName: titleOf.amazon(listing),
        brand: product.brand,
        manufacturer: product.brand,
        modelNumber: product.model,
        itemClassification: 'BASE_PRODUCT',
        packageQuantity: 1,
        ...(variants[0]!.color === null ? {} : { color: variants[0]!.color.en }),
        browseClassification: {
          displayName: product.category.name.en,
          classificationId: String(1_000 + product.category.id.length),
        },
      },
    ],
    relationships: [{ marketplaceId: marketplace_id, relationships: [] }],
    dimensions: [],
    vendorDetails: [],
  }
}

/** Taobao writes `:` and `;` inside values as `#cln#` and `#scln#`. */
const escaped = (text: string): string => text.replaceAll(':', '#cln#').replaceAll(';', '#scln#')

const taobao = (listing: Listing): unknown => {
  const { product, variants, updated_at } = listing
  const color = variants[0]!.color
  const brand_vid = 30_000 + between01(product.number, 900)
  return {
    num_iid: BigInt(listing.id),
    title: titleOf.taobao(listing),
    sub_title: '',
    sell_point: product.features.map((feature) => feature.zh).join(' '),
    desc: `<div>${product.kind.name.zh} <b>${product.brand.replaceAll('&', '&amp;')}</b><br/>${product.features.map((feature) => feature.zh).join('，')}</div>`,
    cid: 50_000_000 + product.category.id.length * 111,
    seller_cids: '',
    props: `20000:${brand_vid}`,
    props_name: [
      `20000:${brand_vid}:品牌:${escaped(product.brand)}`,
      ...(color === null ? [] : [`1627207:28341:颜色分类:${escaped(color.zh)}`]),
      ...product.features.map((feature, at) => `${122_216_000 + at}:${at}:特点:${escaped(feature.zh)}`),
    ].join(';'),
    price: decimal(listing.price_minor),
    num: listing.quantity,
    outer_id: variants[0]!.sku,
    barcode: variants[0]!.gtin ?? '',
    product_id: 0,
    pic_url: `//img.example/${listing.id}.jpg`,
    item_imgs: [],
    prop_imgs: [],
    skus: [],
    approve_status: 'onsale',
    stuff_status: 'new',
    type: 'fixed',
    shop_type: 'B',
    nick: 'huokeji',
    list_time: naive(updated_at - 86_400_000, 8),
    delist_time: naive(updated_at + 6 * 86_400_000, 8),
    created: naive(updated_at - 30 * 86_400_000, 8),
    modified: naive(updated_at, 8),
    item_weight: (product.weight_g / 1_000).toFixed(3),
    item_size: '0.004',
    sold_quantity: between01(product.number, 5_000),
    volume: between01(product.number, 900),
  }
}

const tiktok = (listing: Listing): unknown => {
  const { product, variants, updated_at } = listing
  return {
    id: listing.id,
    status: 'ACTIVATE',
    title: titleOf.tiktok(listing),
    category_chains: product.category.path.map((name, at) => ({
      id: String(600_000 + at),
      parent_id: at === 0 ? '0' : String(600_000 + at - 1),
      local_name: name,
      is_leaf: at === product.category.path.length - 1,
    })),
    brand: { id: String(7_000 + between01(product.number, 90)), name: product.brand },
    main_images: [],
    description: `<p>Say hello to your new ${product.kind.name.en.toLowerCase()}! ✨</p><p>${product.features.map((feature) => feature.en).join(' • ')}</p>`,
    package_dimensions: { length: '12', width: '8', height: '4', unit: 'INCH' },
    package_weight: { value: (product.weight_g / 453.59237).toFixed(2), unit: 'POUND' },
    skus: variants.map((variant) => ({
      id: variant.id,
      seller_sku: variant.sku,
      price: {
        tax_exclusive_price: decimal(Math.round(listing.price_minor / 1.2)),
        sale_price: decimal(listing.price_minor),
        currency: 'GBP',
      },
      inventory: [{ warehouse_id: '7001', quantity: listing.quantity }],
      ...(variant.gtin === null ? {} : { identifier_code: { code: variant.gtin, type: 'EAN' } }),
      sales_attributes:
        variant.color === null
          ? []
          : [{ id: '100000', name: 'Color', value_id: String(1_000 + variant.color.en.length), value_name: variant.color.en }],
    })),
    product_attributes: [],
    certifications: [],
    product_types: [],
    is_not_for_sale: false,
    create_time: seconds(updated_at - 30 * 86_400_000),
    update_time: seconds(updated_at),
  }
}

const payloads: Readonly<Record<ShopPlatform, (listing: Listing) => unknown>> = { shopify, woocommerce, amazon, taobao, tiktok }

/** The listing as its platform publishes it, plain data; ids beyond 2^53 are bigint. */
export const itemPayload = (listing: Listing): Record<string, unknown> =>
  payloads[listing.platform](listing) as Record<string, unknown>

/** The title as the shop's visitors read it. */
export const titleAt = (listing: Listing): string => titleOf[listing.platform](listing).replaceAll('&#8211;', '–')

export { isoAt, naive }
