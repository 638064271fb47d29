/** Rows of CSV and JSONL files, gzipped or not, one at a time with their line numbers; a bad row is told, never fatal. */
import { createReadStream, statSync } from 'node:fs'
import { basename } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { Fault } from '../domain/fault.ts'

/** A row as plain data: CSV cells are strings and empty ones are left out; JSON integers beyond 2^53 are bigint. */
export type RowValue = { readonly [field: string]: unknown }

export type Row = {
  /** Line the row starts on, from 1. */
  readonly line: number
  /** The row, or what is wrong with it; never its text. */
  readonly row: RowValue | Fault
  /** Bytes of the file read when the row was complete, as stored (compressed), for progress. */
  readonly read_bytes: number
}

/** Rows longer than a record may be are refused while they are read, not after they filled the memory. */
const row_chars_max = 1024 * 1024
const columns_max = 1_000

export type RowFormat = 'csv' | 'jsonl'

/** The format a file's name promises: .csv, .jsonl or .ndjson, each also with .gz. */
export const rowFormatOf = (path: string): { readonly format: RowFormat; readonly gzip: boolean } => {
  const name = basename(path).toLowerCase()
  const gzip = name.endsWith('.gz')
  const plain = gzip ? name.slice(0, -3) : name
  if (plain.endsWith('.csv')) return { format: 'csv', gzip }
  if (plain.endsWith('.jsonl') || plain.endsWith('.ndjson')) return { format: 'jsonl', gzip }
  throw new Fault('config.invalid', `${basename(path)}: this reads .csv, .jsonl and .ndjson files, each also with .gz.`)
}

/** The size of a file on disk in bytes; faults with `config.missing` where there is none. */
export const fileBytes = (path: string): number => {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (stat?.isFile() !== true) throw new Fault('config.missing', `There is no file ${path}.`)
  return stat.size
}

const exactInteger = (_key: string, value: unknown, context?: { readonly source?: string }): unknown =>
  typeof value === 'number' && !Number.isSafeInteger(value) && context?.source !== undefined && /^-?\d+$/.test(context.source)
    ? BigInt(context.source)
    : value

/** JSON with integers beyond 2^53 exact. */
export const parseExactly = (text: string): unknown =>
  (JSON.parse as (text: string, reviver: typeof exactInteger) => unknown)(text, exactInteger)

const isRow = (value: unknown): value is RowValue => typeof value === 'object' && value !== null && !Array.isArray(value)

const jsonRow = (text: string): RowValue | Fault => {
  if (text.length > row_chars_max) return new Fault('limits.bytes', `The line is longer than ${row_chars_max} characters.`)
  try {
    const value = parseExactly(text)
    return isRow(value) ? value : new Fault('map.type', 'The line is not a JSON object.')
  } catch (error) {
    // The parser's own message quotes the payload.
    if (!(error instanceof SyntaxError)) throw error
    return new Fault('json.syntax', 'The line is not JSON.')
  }
}

type Cut = { readonly line: number; readonly cells: readonly string[] | Fault }

/** Cuts text that comes in pieces into CSV records (RFC 4180; CR, LF or CRLF end one; quotes may hold line breaks). */
class CsvCutter {
  #cells: string[] = []
  #cell = ''
  #chars = 0
  #state: 'start' | 'plain' | 'quoted' | 'quote' = 'start'
  #line = 1
  #began = 1
  #cr = false
  #bad: Fault | null = null

  /** Complete records of `text` and what came before it. */
  push(text: string): readonly Cut[] {
    const cuts: Cut[] = []
    let from = 0
    const keep = (to: number) => {
      if (to === from || this.#bad !== null) return
      this.#cell += text.slice(from, to)
      this.#chars += to - from
      if (this.#chars > row_chars_max)
        this.#refuse(new Fault('limits.bytes', `The row is longer than ${row_chars_max} characters.`))
    }
    for (let i = 0; i < text.length; i++) {
      const c = text.charCodeAt(i)
      if (this.#state === 'quoted') {
        if (c === 10) this.#line++
        if (c !== 34) continue
        keep(i)
        this.#state = 'quote'
        from = i + 1
        continue
      }
      if (c === 34) {
        if (this.#state === 'start') {
          this.#state = 'quoted'
          from = i + 1
        } else if (this.#state === 'quote') {
          // A doubled quote is one quote inside the cell.
          this.#cell += '"'
          this.#state = 'quoted'
          from = i + 1
        }
        continue
      }
      if (c === 44) {
        if (this.#state !== 'quote') keep(i)
        this.#endCell()
        from = i + 1
      } else if (c === 10 || c === 13) {
        if (c === 10 && this.#cr) {
          this.#cr = false
          from = i + 1
          this.#began = this.#line
          continue
        }
        if (this.#state !== 'quote') keep(i)
        this.#endCell()
        this.#line++
        this.#endRow(cuts)
        this.#cr = c === 13
        from = i + 1
        continue
      } else if (this.#state === 'start') this.#state = 'plain'
      else if (this.#state === 'quote') {
        this.#refuse(new Fault('map.type', 'Text follows a closing quote.'))
        from = i + 1
      }
      this.#cr = false
    }
    if (this.#state !== 'quote') keep(text.length)
    return cuts
  }

  /** The last record, when the file does not end with a line break. */
  end(): readonly Cut[] {
    const cuts: Cut[] = []
    if (this.#state === 'quoted') this.#refuse(new Fault('decode.truncated', 'The file ends inside a quoted cell.'))
    if (this.#state === 'start' && this.#cells.length === 0 && this.#bad === null) return cuts
    this.#endCell()
    this.#endRow(cuts)
    return cuts
  }

  #refuse(fault: Fault): void {
    this.#bad ??= fault
    this.#cell = ''
  }

  #endCell(): void {
    if (this.#cells.length < columns_max) this.#cells.push(this.#cell)
    else this.#refuse(new Fault('limits.items', `The row has more than ${columns_max} cells.`))
    this.#cell = ''
    this.#state = 'start'
  }

  #endRow(cuts: Cut[]): void {
    const blank = this.#cells.length === 1 && this.#cells[0] === '' && this.#bad === null
    if (!blank) cuts.push({ line: this.#began, cells: this.#bad ?? this.#cells })
    this.#cells = []
    this.#chars = 0
    this.#bad = null
    this.#state = 'start'
    this.#began = this.#line
  }
}

/** The text of a file in pieces; `read` is told how many stored bytes have come. */
async function* textOf(path: string, gzip: boolean, read: (bytes: number) => void): AsyncGenerator<string> {
  const file = createReadStream(path, { highWaterMark: 64 * 1024 })
  file.on('data', (chunk) => read(chunk.length))
  const stream: Readable = gzip ? file.pipe(createGunzip()) : file
  if (gzip) file.on('error', (error) => stream.destroy(error))
  const decoder = new TextDecoder('utf-8')
  try {
    for await (const chunk of stream) yield decoder.decode(chunk as Buffer, { stream: true })
    yield decoder.decode()
  } catch (error) {
    const gone = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Fault(
      gone ? 'config.missing' : 'config.invalid',
      gone ? `There is no file ${path}.` : `${basename(path)} cannot be read to its end: ${(error as Error).message}.`,
      {},
      error,
    )
  } finally {
    file.destroy()
  }
}

async function* jsonRows(pieces: AsyncIterable<string>): AsyncGenerator<{ line: number; row: RowValue | Fault }> {
  let rest = ''
  let line = 0
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop()!
    for (const text of lines) {
      line++
      if (text.trim() !== '') yield { line, row: jsonRow(text) }
    }
    if (rest.length > 2 * row_chars_max)
      throw new Fault('limits.bytes', `Line ${line + 1} is longer than any record may be; is this a JSONL file?`)
  }
  if (rest.trim() !== '') yield { line: line + 1, row: jsonRow(rest) }
}

async function* csvRows(pieces: AsyncIterable<string>): AsyncGenerator<{ line: number; row: RowValue | Fault }> {
  const cutter = new CsvCutter()
  let columns: readonly string[] | null = null
  const rowsOf = function* (cuts: readonly Cut[]) {
    for (const { line, cells } of cuts) {
      if (columns === null) {
        if (cells instanceof Fault) throw cells
        const doubled = cells.find((name, at) => cells.indexOf(name) !== at)
        if (doubled !== undefined) throw new Fault('config.invalid', `Two columns are named ${doubled}.`)
        columns = cells
      } else if (cells instanceof Fault) yield { line, row: cells }
      else if (cells.length !== columns.length)
        yield { line, row: new Fault('map.type', `The row has ${cells.length} cells, the header ${columns.length}.`) }
      else {
        const row: Record<string, unknown> = Object.create(null)
        for (const [at, name] of columns.entries()) if (cells[at] !== '') row[name] = cells[at]
        yield { line, row }
      }
    }
  }
  for await (const piece of pieces) yield* rowsOf(cutter.push(piece))
  yield* rowsOf(cutter.end())
}

/** Every row of a file. A file that cannot be read, or whose header cannot, throws; a bad row comes as a fault. */
export async function* rowsOf(path: string): AsyncGenerator<Row> {
  const { format, gzip } = rowFormatOf(path)
  fileBytes(path)
  let read_bytes = 0
  let first = true
  const pieces = async function* () {
    for await (const piece of textOf(path, gzip, (bytes) => {
      read_bytes += bytes
    })) {
      yield first && piece.startsWith('\ufeff') ? piece.slice(1) : piece
      first = false
    }
  }
  for await (const { line, row } of format === 'csv' ? csvRows(pieces()) : jsonRows(pieces())) yield { line, row, read_bytes }
}
