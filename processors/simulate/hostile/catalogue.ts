/** The catalogue of bad inputs: every row of the reliability reference (§4), in its order. */
import { row as row01 } from './catalogue/01-empty-value.ts'
import { row as row02 } from './catalogue/02-tombstone.ts'
import { row as row03 } from './catalogue/03-key.ts'
import { row as row04 } from './catalogue/04-wrong-magic.ts'
import { row as row05 } from './catalogue/05-short-header.ts'
import { row as row06 } from './catalogue/06-unknown-schema.ts'
import { row as row07 } from './catalogue/07-strange-subject.ts'
import { row as row08 } from './catalogue/08-other-format.ts'
import { row as row09 } from './catalogue/09-message-index.ts'
import { row as row10 } from './catalogue/10-trailing-bytes.ts'
import { row as row11 } from './catalogue/11-truncated-avro.ts'
import { row as row12 } from './catalogue/12-decompression-bomb.ts'
import { row as row13 } from './catalogue/13-unsupported-codec.ts'
import { row as row14 } from './catalogue/14-zero-width.ts'
import { row as row15 } from './catalogue/15-avro-recursion.ts'
import { row as row16 } from './catalogue/16-json-depth.ts'
import { row as row17 } from './catalogue/17-json-size.ts'
import { row as row18 } from './catalogue/18-duplicate-keys.ts'
import { row as row19 } from './catalogue/19-large-integer.ts'
import { row as row20 } from './catalogue/20-json-range.ts'
import { row as row21 } from './catalogue/21-nonfinite.ts'
import { row as row22 } from './catalogue/22-avro-long.ts'
import { row as row23 } from './catalogue/23-avro-int.ts'
import { row as row24 } from './catalogue/24-protobuf-int64.ts'
import { row as row25 } from './catalogue/25-avro-boolean.ts'
import { row as row26 } from './catalogue/26-union-index.ts'
import { row as row27 } from './catalogue/27-enum.ts'
import { row as row28 } from './catalogue/28-two-record-union.ts'
import { row as row29 } from './catalogue/29-decimal.ts'
import { row as row30 } from './catalogue/30-time-unit.ts'
import { row as row31 } from './catalogue/31-time-text.ts'
import { row as row32 } from './catalogue/32-schema-change.ts'
import { row as row33 } from './catalogue/33-empty-id.ts'
import { row as row34 } from './catalogue/34-changed-type.ts'
import { row as row35 } from './catalogue/35-truncated-protobuf.ts'
import { row as row36 } from './catalogue/36-protobuf-nesting.ts'
import { row as row37 } from './catalogue/37-utf8.ts'
import { row as row38 } from './catalogue/38-surrogates.ts'
import { row as row39 } from './catalogue/39-normal-forms.ts'
import { row as row40 } from './catalogue/40-control-characters.ts'
import { row as row41 } from './catalogue/41-byte-order-mark.ts'
import { row as row42 } from './catalogue/42-prototype-keys.ts'
import { row as row43 } from './catalogue/43-method-names.ts'
import { row as row44 } from './catalogue/44-markup.ts'
import { row as row45 } from './catalogue/45-price.ts'
import { row as row46 } from './catalogue/46-gtin.ts'
import { row as row47 } from './catalogue/47-same-sku.ts'
import { row as row48 } from './catalogue/48-link-chain.ts'
import { row as row49 } from './catalogue/49-url.ts'
import { row as row50 } from './catalogue/50-text-length.ts'
import { row as row51 } from './catalogue/51-vector.ts'
import { row as row52 } from './catalogue/52-unknown-product.ts'
import { row as row53 } from './catalogue/53-click-before-product.ts'
import { row as row54 } from './catalogue/54-erased-user.ts'
import { row as row55 } from './catalogue/55-impression-token.ts'
import { row as row56 } from './catalogue/56-impression-twice.ts'
import { row as row57 } from './catalogue/57-raw-id.ts'
import { row as row58 } from './catalogue/58-headers.ts'
import { row as row59 } from './catalogue/59-timestamps.ts'
import { row as row60 } from './catalogue/60-id-conflict.ts'
import { row as row61 } from './catalogue/61-sparse-offsets.ts'
import { row as row62 } from './catalogue/62-large-record.ts'
import { row as row63 } from './catalogue/63-checksum.ts'
import { row as row64 } from './catalogue/64-http.ts'
import type { Row } from './row.ts'

export const catalogue: readonly Row[] = [
  row01,
  row02,
  row03,
  row04,
  row05,
  row06,
  row07,
  row08,
  row09,
  row10,
  row11,
  row12,
  row13,
  row14,
  row15,
  row16,
  row17,
  row18,
  row19,
  row20,
  row21,
  row22,
  row23,
  row24,
  row25,
  row26,
  row27,
  row28,
  row29,
  row30,
  row31,
  row32,
  row33,
  row34,
  row35,
  row36,
  row37,
  row38,
  row39,
  row40,
  row41,
  row42,
  row43,
  row44,
  row45,
  row46,
  row47,
  row48,
  row49,
  row50,
  row51,
  row52,
  row53,
  row54,
  row55,
  row56,
  row57,
  row58,
  row59,
  row60,
  row61,
  row62,
  row63,
  row64,
]
