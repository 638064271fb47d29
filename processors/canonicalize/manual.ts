/** Prints docs/reference/maps.md: the manual of maps, with its tables taken from the values the compiler itself uses. */
import { category_ids, categoryById } from '../domain/category.ts'
import { derived_fields, type FieldSpec, field_types, interaction_fields, item_fields } from './fields.ts'
import { functions } from './functions.ts'
import { map_drop_reasons, own_drop_reasons } from './reasons.ts'
import { shop_setting_names } from './settings.ts'

const cell = (text: string): string => text.replaceAll('|', '\\|')
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [
    `| ${head.join(' | ')} |`,
    `|${head.map(() => '---').join('|')}|`,
    ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`),
  ].join('\n')

const fieldTable = (fields: Readonly<Record<string, FieldSpec>>): string =>
  table(
    ['field', 'type', 'without a rule'],
    Object.entries(fields).map(([name, { type, required, otherwise }]) => [
      `\`${name}\``,
      type,
      required === true ? '**required**' : (otherwise ?? ''),
    ]),
  )

/** The whole page. `example` is the worked example: the map and its cases as they stand on disk. */
export const mapsMarkdown = (example: { readonly map: string; readonly cases: string }): string => `# Platform maps

Printed by \`npm run docs\` from processors/canonicalize/manual.ts; change it there.

A map says how one source topic becomes canonical items or interactions. It is data: adding a platform needs no TypeScript.

\`\`\`
platforms/                       the setting platforms.folder; shipped ones: processors/canonicalize/platforms
  corner/                        the platform's name: lower-case letters, digits, underscores
    platform.yaml                what all its maps share: settings, shop, tables, categories (may be left out)
    items.yaml                   a map; read from topic source.corner.items
    items.cases.yaml             its golden cases
    items.avsc                   its schema, here or in schemas/source
\`\`\`

\`entrepot lint ./platforms\` checks maps without running anything and names file, line and column. \`entrepot test corner\` runs the
cases, \`entrepot explain-map corner\` prints each field with the paths and rules behind it. Settings of shops go under
\`platforms.shops\` (docs/reference/config.md).

## A worked example

A map, which stands with its cases in docs/reference/maps-example and is tested:

\`\`\`yaml
${example.map.trimEnd()}
\`\`\`

Its golden cases. \`expect\` lists the outputs and names only the fields that matter, or is \`{ dropped: reason }\` or
\`{ fault: code }\`; \`records\` runs several in order, with their state. \`time\` is the append time, \`headers\` and \`key\` are the
record's, \`settings\` the shop's, \`tombstone: true\` is a null value, \`late_after_days: 0\` keeps what is old.

\`\`\`yaml
${example.cases.trimEnd()}
\`\`\`

## The parts of a map

${table(
  ['key', 'what'],
  [
    ['`emits`', '`items` or `interactions`'],
    [
      '`format`',
      '`AVRO`, `JSON` (JSON Schema), `PROTOBUF`: Confluent wire format, checked against the schema; `PLAIN_JSON`: no header, no schema',
    ],
    ['`schema`', 'file name of the schema; registered under `<topic>-value`'],
    ['`topic`', 'default `source.<platform>.<file name>`'],
    ['`version`', 'goes into provenance with a digest of the file'],
    ['`settings`', 'defaults of shop settings; new names may be added and read as `shop.<name>`'],
    ['`shop`', 'which shop a record is of; chooses the settings of `<platform>/<shop>`'],
    ['`tables`', 'source values to ours, for `table()`; `*` stands for all others'],
    ['`categories`', 'the platform’s own category words to ours, beyond the common ones'],
    ['`let`', 'named values of the record, computed once when first read'],
    ['`drop`', 'a reason and its condition each: the record is left out and counted'],
    ['`delete`', 'a condition: the items that the record names are gone'],
    [
      '`group`',
      '`id` of the listing that holds all of a record’s items, `members` when it names more of them than it shows. Items that were there before and are not now are deleted',
    ],
    ['`tombstone`', 'the id that a null value deletes; default the key: of the group where there is one, else of the item'],
    ['`user`', '`login`, `device`, `session`, in order: the first id present becomes the pseudonym. The id itself never leaves'],
    ['`session`', 'the session’s id, a pseudonym as well'],
    [
      '`snapshot`',
      'for topics that send a state (a cart): `of`, `version`, `lines`, `line`, `quantity`. The difference to the state kept before gives `change.type` (ADD_TO_CART, REMOVE_FROM_CART), `change.quantity`, `change.line`, `change.id`',
    ],
    ['`fields`', 'the canonical fields'],
    [
      '`emit`',
      'several blocks, or one with `each`, instead of `fields` alone: `each`, `when`, `let`, `drop`, `user`, `session`, `fields`. Top-level `fields` are then shared by all blocks',
    ],
    [
      '`each`',
      'a list to make one output of each element: `{ line: line_items }`; several nest. Unqualified names then belong to the innermost element, the others are reached by their names, the record as `record`',
    ],
  ],
)}

A record is taken as a whole: when one of its lines cannot be read, none is emitted and the record is dead-lettered.
A \`?\` behind a field (\`weight_g?\`) leaves out what cannot be read instead, and says so in provenance.

## Expressions

An unquoted value is an expression, a quoted one a text. A list gives several values where the field takes a list.

${table(
  ['write', 'for'],
  [
    ["`title`, `body.title`, `this['Part Number']`", 'a field; a missing one is missing, not an error'],
    ['`images[0].src`, `images[-1]`', 'an element by place'],
    ['`images[].src`', 'all elements'],
    ["`images[variant == 'MAIN'].link`", 'the elements for which the condition holds; names inside are theirs'],
    ['`a ?? b`', '`b` when `a` is missing: null, empty text or not there'],
    ["`'text'`, `5`, `true`, `null`", 'constants'],
    [
      '`==` `!=` `<` `<=` `>` `>=`, `in (a, b)`, `not in`, `and`, `or`, `not`',
      'conditions; missing, false and 0 are no. Values of two types compare as text',
    ],
    ["`x \\| lower \\| split(',')`", "functions, one after another; the same as `split(lower(x), ',')`. `\\|` binds weakest"],
    [
      "`record` `this` `shop.currency` `header['name']` `log.time` `log.key` `change.line`",
      'the whole record, the current element, the shop’s settings, record headers, the place in the log, the changed line',
    ],
  ],
)}

Where one value is wanted and a path gives several, the first present one is taken. Names of \`let\` and \`each\` hide fields of the
same name. YAML takes \`: \`, \` #\` and a leading quote or bracket for itself: write such expressions as a block (\`>-\`).

## Functions

${table(
  ['function', 'gives'],
  Object.values(functions).map(({ signature, does }) => [`\`${signature}\``, does]),
)}

## Fields of items

${fieldTable(item_fields)}

## Fields of interactions

${fieldTable(interaction_fields)}

Made from others, never set: ${Object.entries(derived_fields)
  .map(([name, why]) => `\`${name}\` (${why})`)
  .join(', ')}.

## Types of fields

${table(
  ['type', 'takes'],
  Object.entries(field_types).map(([name, takes]) => [name, takes]),
)}

Conversions that lose nothing (decimal to minor units, ISO time to milliseconds, a table) leave no trace. Every other change is a
rewrite in \`provenance.rewrites\`: field, from, to, rule; both texts are cut at 120 characters, and fields that a person may have
typed (query, coupon, device, list_id) are not quoted.

## Reasons to drop

${table(
  ['reason', 'means', 'given by'],
  [
    ...Object.entries(map_drop_reasons).map(([reason, means]) => [`\`${reason}\``, means, '`drop` in a map']),
    ...Object.entries(own_drop_reasons).map(([reason, means]) => [`\`${reason}\``, means, 'the processor']),
  ],
)}

## Settings of shops

${table(
  ['setting', 'what'],
  Object.entries(shop_setting_names).map(([name, what]) => [`\`${name}\``, what]),
)}

## Categories

${category_ids.map((id) => `\`${id}\` ${categoryById(id)!.path[0]}`).join(', ')}. A platform’s word that means none of them for sure gives no
category; add it to \`categories\` in the map.

## What a map can rely on

- Key the topic so that what must keep its order shares a partition: items by product, carts by token, events by user or client.
  Repetitions are recognised within an input partition.
- Items: the newest \`source_updated_at\` wins, whatever the order of arrival; without one, the order of the log. What did not change
  is dropped as \`unchanged\`. Deleted items are remembered for 30 days, so that an older version that comes late stays out.
- Interactions: an event id within the horizon (canonicalize.dedupe_horizon_days) counts once; with another content it is dead-lettered as \`id.conflict\`.
- Times lie between 2000 and a day after the append time. An event up to a day ahead of the log is set to the log's time beyond five minutes.
- A price needs a currency, from the record or the shop. \`price_ref_minor\` follows \`canonicalize.rates\`.
- \`query\`, \`coupon\`, \`device\`, \`list_id\` and ids that hold an e-mail address or a phone number are refused as \`privacy.raw_id\`.
`
