/** Turns the files of a platform into compiled maps, or into findings that name file, line, column and remedy. */
import { category_ids, ownCategories } from '../domain/category.ts'
import {
  type DocumentNode,
  entryOf,
  type Finding,
  type MapEntry,
  type MapNode,
  type Place,
  type ScalarNode,
} from '../domain/document.ts'
import { Fault } from '../domain/fault.ts'
import { digestOf } from '../domain/ids.ts'
import { interaction_types, type UserIdType } from '../domain/interaction.ts'
import type { MapFile, PlatformFiles } from '../domain/platform-files.ts'
import type { SourceFormat } from '../ports/schema-registry.ts'
import { compileExpression, type EvaluateContext, type Let, type Names, reserved_roots } from './evaluate.ts'
import { callsOf, type Expression, parseExpression, pathsOf, problemAt } from './expression.ts'
import {
  asId,
  asTime,
  availabilities,
  conditions,
  derived_fields,
  type FieldSpec,
  type FieldType,
  interaction_fields,
  item_fields,
  located,
} from './fields.ts'
import type { Argument, Table } from './functions.ts'
import { type InteractionDraft, interactionBuilder, type User, type UserRule, userOf } from './interaction.ts'
import { type AttributeRules, type ItemDraft, type ItemReaders, itemReaders } from './item.ts'
import type {
  CompiledMap,
  ExplainedRule,
  LineChange,
  Platform,
  PlatformSource,
  Reading,
  Removal,
  SnapshotReading,
} from './platform.ts'
import { type MapDropReason, map_drop_reasons } from './reasons.ts'
import type { Rule } from './rules.ts'
import { checkShopValues, shop_setting_names } from './settings.ts'
import { type Shape, shapeOf, type UnknownPath, unknownPaths } from './shape.ts'
import {
  charge,
  type Env,
  type Eval,
  element_work,
  isTrue,
  listOf,
  numberOf,
  refuse,
  textOf,
  unset,
  type Value,
} from './values.ts'

export type CompileTools = {
  /** The closest of some words, or undefined when none is close. */
  readonly nearest: (word: string, among: Iterable<string>) => string | undefined
}

export type CompiledPlatform = { readonly platform: Platform | null; readonly findings: readonly Finding[] }

const platform_name = /^[a-z][a-z0-9_]{0,31}$/u
const topic_name = /^[a-zA-Z0-9._-]{1,249}$/u
const map_keys = [
  'about',
  'categories',
  'delete',
  'drop',
  'each',
  'emit',
  'emits',
  'fields',
  'format',
  'group',
  'let',
  'schema',
  'session',
  'settings',
  'shop',
  'snapshot',
  'tables',
  'tombstone',
  'topic',
  'user',
  'version',
  'when',
] as const
const common_keys = ['about', 'categories', 'settings', 'shop', 'tables'] as const
const block_keys = ['drop', 'each', 'fields', 'let', 'session', 'user', 'when'] as const
const snapshot_keys = ['line', 'lines', 'of', 'quantity', 'version'] as const
const user_types: Readonly<Record<string, UserIdType>> = { login: 'LOGIN', device: 'DEVICE', session: 'SESSION' }
const formats: readonly SourceFormat[] = ['AVRO', 'JSON', 'PROTOBUF', 'PLAIN_JSON']

type Level = { readonly slot: number; readonly eval: Eval }
type Drop = { readonly reason: MapDropReason; readonly holds: Eval }
type Block = {
  readonly when: Eval | null
  readonly each: readonly Level[]
  /** Slots of the block's own lets, emptied for each element. */
  readonly let_slots: readonly number[]
  readonly drops: readonly Drop[]
  readonly user: UserRule | null
  readonly session: Eval | null
  readonly item: ItemReaders | null
  readonly interaction: ((env: Env, user: User, session_key: string | null) => InteractionDraft) | null
}

/** Compiles one map; keeps what it finds wrong instead of stopping at the first. */
class MapCompiler {
  readonly findings: Finding[] = []
  readonly explained: ExplainedRule[] = []
  readonly tools: CompileTools
  readonly platform: string
  readonly file: MapFile
  readonly tables = new Map<string, Table>()
  readonly used_tables = new Set<string>()
  readonly lets = new Map<string, Let>()
  readonly scopes = new Map<string, number>()
  readonly shop_names = new Set<string>(Object.keys(shop_setting_names))
  has_change = false
  /** Shapes of the record, of what unqualified names belong to, and of named elements; null where the schema does not say. */
  record_shape: Shape = null
  current_shape: Shape = null
  readonly shapes = new Map<string, Shape>()
  /** Of the last expression compiled. */
  value_shape: Shape = null
  emits: 'items' | 'interactions' = 'items'

  constructor(platform: string, file: MapFile, tools: CompileTools) {
    this.platform = platform
    this.file = file
    this.tools = tools
  }

  problem(place: Place, message: string, severity: Finding['severity'] = 'error'): void {
    this.findings.push({ place, severity, message })
  }

  suggest(word: string, among: Iterable<string>): string {
    const near = this.tools.nearest(word, among)
    return near === undefined ? '' : ` Did you mean \`${near}\`?`
  }

  checkKeys(map: MapNode, allowed: readonly string[], what: string): void {
    for (const { key, key_place } of map.entries)
      if (!allowed.includes(key))
        this.problem(
          key_place,
          `${what} has no \`${key}\`.${this.suggest(key, allowed)} It may have: ${[...allowed].sort().join(', ')}.`,
        )
  }

  mapOf(entry: MapEntry | undefined, what: string): MapNode | undefined {
    if (entry === undefined) return undefined
    if (entry.value.kind === 'map') return entry.value
    this.problem(entry.value.place, `${what} must be a map of names to values.`)
    return undefined
  }

  /** Text written in the map, quoted or not. */
  wordOf(entry: MapEntry | undefined): string | undefined {
    if (entry === undefined) return undefined
    if (entry.value.kind === 'scalar' && entry.value.value !== null) return String(entry.value.value)
    this.problem(entry.value.place, `\`${entry.key}\` must be one word or text.`)
    return undefined
  }

  context(): EvaluateContext {
    const names: Names = { scopes: this.scopes, lets: new Map(this.lets), shop: this.shop_names, has_change: this.has_change }
    return {
      names,
      suggest: (word, among) => this.suggest(word, among),
      table: (argument: Argument) => {
        if (typeof argument.literal !== 'string')
          throw problemAt(argument.at, 'the name of the table must be written out in quotes')
        const table = this.tables.get(argument.literal)
        if (table === undefined)
          throw problemAt(
            argument.at,
            `the map has no table \`${argument.literal}\`.${this.suggest(argument.literal, this.tables.keys())}`,
          )
        this.used_tables.add(table.name)
        return table
      },
    }
  }

  /** Places inside an expression: by column when it stands on the scalar's line. */
  placeIn(node: ScalarNode, at: unknown): Place {
    if (node.block || typeof at !== 'number') return node.place
    return { ...node.place, column: node.place.column + at }
  }

  /** The closure of a value in the map: a constant when quoted or no text, else an expression. Undefined after a finding. */
  value(
    node: DocumentNode,
    field: string,
    type?: FieldType,
  ): { eval: Eval; constant: Value; expression: Expression | null } | undefined {
    this.value_shape = null
    if (node.kind === 'list') {
      const parts = node.items.map((item) => this.value(item, field))
      if (parts.some((part) => part === undefined)) return undefined
      const evals = parts.map((part) => part!.eval)
      return { eval: (env) => evals.flatMap((one) => listOf(one(env))), constant: undefined, expression: null }
    }
    if (node.kind === 'map') {
      this.problem(node.place, `\`${field}\` must be an expression or a quoted text; found a map.`)
      return undefined
    }
    const explain = (expression: Expression | null, text: string) =>
      this.explained.push({
        field,
        paths: expression === null ? [] : [...new Set(pathsOf(expression).map((path) => path.text))],
        steps: [
          ...(expression === null ? [] : callsOf(expression).map((call) => call.name)),
          ...(type === undefined ? [] : [type]),
        ],
        text,
      })
    if (node.quoted || typeof node.value !== 'string') {
      const constant = node.value === null ? undefined : node.value
      explain(null, typeof constant === 'string' ? `'${constant}'` : String(node.value))
      return { eval: () => constant, constant, expression: null }
    }
    try {
      const expression = parseExpression(node.value)
      const evaluate = compileExpression(expression, this.context())
      this.checkPaths(node, field, expression)
      explain(expression, node.value.replace(/\s+/gu, ' ').trim())
      return { eval: evaluate, constant: undefined, expression }
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      this.problem(this.placeIn(node, error.detail['at']), `\`${field}\`: ${error.message}`)
      return undefined
    }
  }

  /** Names that the schema does not have: an error where nothing else can occur, else a warning. */
  checkPaths(node: ScalarNode, field: string, expression: Expression): void {
    const names = new Map<string, Shape>([...this.shapes, ...[...this.lets.keys()].map((name) => [name, null] as const)])
    const found: UnknownPath[] = []
    this.value_shape = unknownPaths(expression, { record: this.record_shape, current: this.current_shape, names }, found)
    for (const { name, at, among, closed } of found)
      this.problem(
        this.placeIn(node, at),
        `\`${field}\`: the schema has no field \`${name}\` here.${this.suggest(name, among)}`,
        closed ? 'error' : 'warning',
      )
  }

  evalOf(entry: MapEntry | undefined, field = entry?.key ?? ''): Eval | null {
    return entry === undefined ? null : (this.value(entry.value, field)?.eval ?? null)
  }

  tablesFrom(map: MapNode | undefined): void {
    for (const { key, value, key_place } of map?.entries ?? []) {
      if (value.kind !== 'map') {
        this.problem(value.place, `The table \`${key}\` must be a map of source values to ours.`)
        continue
      }
      const entries = new Map<string, Value>()
      let fallback: Value
      for (const entry of value.entries) {
        if (entry.value.kind !== 'scalar') this.problem(entry.value.place, 'A table holds single values.')
        else if (entry.key === '*') fallback = entry.value.value
        else entries.set(entry.key, entry.value.value)
      }
      if (entries.size === 0 && fallback === undefined) this.problem(key_place, `The table \`${key}\` is empty.`)
      this.tables.set(key, { name: key, entries, fallback })
    }
  }

  settingsFrom(map: MapNode | undefined): Record<string, string> {
    const defaults: Record<string, string> = {}
    for (const { key, value, key_place } of map?.entries ?? []) {
      if (!/^[a-z][a-z0-9_]*$/u.test(key)) this.problem(key_place, `\`${key}\`: names of settings are lower-case words.`)
      this.shop_names.add(key)
      if (value.kind !== 'scalar') this.problem(value.place, 'A setting has one value.')
      else if (value.value !== null) defaults[key] = String(value.value)
      try {
        checkShopValues('settings', defaults)
      } catch (error) {
        if (!(error instanceof Fault)) throw error
        this.problem(value.place, error.message)
        delete defaults[key]
      }
    }
    return defaults
  }

  categoriesFrom(map: MapNode | undefined, into: Record<string, string>): void {
    for (const { key, value } of map?.entries ?? []) {
      const id = value.kind === 'scalar' ? String(value.value) : ''
      if (!category_ids.includes(id))
        this.problem(
          value.place,
          `\`${id}\` is no category.${this.suggest(id, category_ids)} There are: ${category_ids.join(', ')}.`,
        )
      else into[key] = id
    }
  }

  dropsFrom(map: MapNode | undefined): readonly Drop[] {
    const drops: Drop[] = []
    for (const entry of map?.entries ?? []) {
      const reasons = Object.keys(map_drop_reasons)
      if (!reasons.includes(entry.key)) {
        this.problem(
          entry.key_place,
          `\`${entry.key}\` is no reason to drop a record.${this.suggest(entry.key, reasons)} There are: ${reasons.join(', ')}.`,
        )
        continue
      }
      const holds = this.evalOf(entry, `drop ${entry.key}`)
      if (holds !== null) drops.push({ reason: entry.key as MapDropReason, holds })
    }
    return drops
  }

  /** Adds named values; returns their slots. Record values are computed at the record, wherever they are asked for. */
  letsFrom(map: MapNode | undefined, of_record: boolean): readonly number[] {
    const slots: number[] = []
    for (const entry of map?.entries ?? []) {
      if (!this.nameIsFree(entry)) continue
      const value = this.value(entry.value, `let ${entry.key}`)
      if (value === undefined) continue
      const slot = this.lets.size
      const evaluate = value.eval
      this.lets.set(entry.key, {
        slot,
        eval: of_record
          ? (env) => {
              const before = env.current
              env.current = env.record
              const computed = evaluate(env)
              env.current = before
              return computed
            }
          : evaluate,
      })
      slots.push(slot)
    }
    return slots
  }

  nameIsFree({ key, key_place }: MapEntry): boolean {
    if (!/^[\p{L}_][\p{L}\p{N}_]*$/u.test(key)) {
      this.problem(key_place, `\`${key}\` is no name: letters, digits and underscores.`)
      return false
    }
    if ((reserved_roots as readonly string[]).includes(key) || this.lets.has(key) || this.scopes.has(key)) {
      this.problem(key_place, `\`${key}\` is taken; choose another name.`)
      return false
    }
    return true
  }

  eachFrom(entry: MapEntry | undefined): readonly Level[] {
    if (entry === undefined) return []
    const levels: Level[] = []
    if (entry.value.kind === 'scalar') {
      const list = this.evalOf(entry)
      if (list !== null) levels.push({ slot: this.scopes.size, eval: list })
      this.current_shape = this.value_shape
      // Reserves the slot; no name reaches it.
      this.scopes.set(` ${this.scopes.size}`, this.scopes.size)
      return levels
    }
    for (const level of this.mapOf(entry, '`each`')?.entries ?? []) {
      if (!this.nameIsFree(level)) continue
      const list = this.evalOf(level, `each ${level.key}`)
      const slot = this.scopes.size
      this.scopes.set(level.key, slot)
      this.current_shape = this.value_shape
      this.shapes.set(level.key, this.value_shape)
      if (list !== null) levels.push({ slot, eval: list })
    }
    return levels
  }

  userFrom(entry: MapEntry | undefined): UserRule | null {
    const map = this.mapOf(entry, '`user`')
    if (map === undefined) return null
    const rule: { type: UserIdType; eval: Eval }[] = []
    for (const one of map.entries) {
      const type = Object.hasOwn(user_types, one.key) ? user_types[one.key] : undefined
      if (type === undefined)
        this.problem(
          one.key_place,
          `A user has login, device or session; found \`${one.key}\`.${this.suggest(one.key, Object.keys(user_types))}`,
        )
      const evaluate = this.evalOf(one, `user ${one.key}`)
      if (type !== undefined && evaluate !== null) rule.push({ type, eval: evaluate })
    }
    if (rule.length === 0) this.problem(map.place, '`user` names no id.')
    return rule
  }

  /** What a rule could give a field of a closed list, checked while compiling. */
  checkClosed(node: DocumentNode, type: FieldType, constant: Value, expression: Expression | null): void {
    const allowed: readonly string[] | undefined =
      type === 'availability'
        ? [...availabilities, 'UNKNOWN']
        : type === 'condition'
          ? [...conditions, 'UNKNOWN']
          : type === 'type'
            ? interaction_types
            : undefined
    if (allowed === undefined) return
    const given: string[] = []
    if (constant !== undefined) given.push(String(constant))
    if (expression?.kind === 'call' && expression.name === 'table' && expression.args[1]?.kind === 'literal') {
      const table = this.tables.get(String(expression.args[1].value))
      for (const value of [...(table?.entries.values() ?? []), table?.fallback])
        if (value !== undefined && value !== null) given.push(String(value))
    }
    for (const one of new Set(given))
      if (!allowed.includes(one))
        this.problem(node.place, `\`${one}\` is not one of ${allowed.join(', ')}.${this.suggest(one, allowed)}`)
  }

  rulesFrom(maps: readonly (MapNode | undefined)[]): { rules: Map<string, Rule>; attributes: AttributeRules } {
    const specs: Readonly<Record<string, FieldSpec>> = this.emits === 'items' ? item_fields : interaction_fields
    const rules = new Map<string, Rule>()
    let attributes: AttributeRules = []
    for (const map of maps)
      for (const entry of map?.entries ?? []) {
        const lenient = entry.key.endsWith('?')
        const field = lenient ? entry.key.slice(0, -1) : entry.key
        const spec = Object.hasOwn(specs, field) ? specs[field] : undefined
        if (spec === undefined) {
          const hint = Object.hasOwn(derived_fields, field)
            ? ` It is made from others: ${derived_fields[field]}.`
            : this.suggest(field, Object.keys(specs))
          this.problem(entry.key_place, `${this.emits} have no field \`${field}\` to set.${hint}`)
          continue
        }
        if (lenient && spec.required === true)
          this.problem(entry.key_place, `\`${field}\` is required, so it cannot be left out by \`?\`.`)
        if (field === 'attributes' && entry.value.kind === 'map') {
          attributes = entry.value.entries.flatMap((one) => {
            const evaluate = this.evalOf(one, `attributes ${one.key}`)
            return evaluate === null ? [] : [{ name: one.key, eval: evaluate }]
          })
          continue
        }
        if (entry.value.kind === 'list' && !['texts', 'urls', 'category', 'lines'].includes(spec.type)) {
          this.problem(entry.value.place, `\`${field}\` takes one value; write fallbacks with \`??\`.`)
          continue
        }
        const value = this.value(entry.value, field, spec.type)
        if (value === undefined) continue
        this.checkClosed(entry.value, spec.type, value.constant, value.expression)
        rules.set(field, { eval: value.eval, lenient, text: entry.value.kind === 'scalar' ? String(entry.value.value) : '' })
      }
    return { rules, attributes }
  }

  blockFrom(
    node: MapNode,
    shared: readonly (MapNode | undefined)[],
    version: string,
    categories: ReadonlyMap<string, string>,
  ): Block {
    const lets_before = new Map(this.lets)
    this.current_shape = this.has_change ? (this.shapes.get(' line') ?? null) : this.record_shape
    const scopes_before = new Map(this.scopes)
    const each = this.eachFrom(entryOf(node, 'each'))
    const let_slots = this.letsFrom(this.mapOf(entryOf(node, 'let'), '`let`'), false)
    const when = this.evalOf(entryOf(node, 'when'))
    const drops = this.dropsFrom(this.mapOf(entryOf(node, 'drop'), '`drop`'))
    const user = this.userFrom(entryOf(node, 'user'))
    const session = this.evalOf(entryOf(node, 'session'))
    const { rules, attributes } = this.rulesFrom([...shared, this.mapOf(entryOf(node, 'fields'), '`fields`')])
    const specs: Readonly<Record<string, FieldSpec>> = this.emits === 'items' ? item_fields : interaction_fields
    for (const [field, spec] of Object.entries(specs))
      if (spec.required === true && !rules.has(field)) this.problem(node.place, `\`${field}\` is required, and no rule gives it.`)
    const block: Block = {
      when,
      each,
      let_slots,
      drops,
      user,
      session,
      item: this.emits === 'items' ? itemReaders(this.platform, version, rules, attributes, categories) : null,
      interaction: this.emits === 'interactions' ? interactionBuilder(this.platform, version, rules) : null,
    }
    // Another block must not see these names; slots stay taken.
    for (const name of [...this.lets.keys()]) if (!lets_before.has(name)) this.renameAway(this.lets, name)
    for (const name of [...this.scopes.keys()]) if (!scopes_before.has(name)) this.renameAway(this.scopes, name)
    for (const name of [...this.shapes.keys()]) if (name !== ' line') this.shapes.delete(name)
    this.current_shape = this.record_shape
    return block
  }

  renameAway<T>(map: Map<string, T>, name: string): void {
    const value = map.get(name)!
    map.delete(name)
    map.set(` ${map.size} ${name}`, value)
  }

  compile(common: MapNode | null, common_text: string): CompiledMap | null {
    const { document, kind, schema } = this.file
    this.checkKeys(document, map_keys, 'A map')
    const at = (key: string): MapEntry | undefined => entryOf(document, key)
    const shared = (key: string): MapEntry | undefined => (common === null ? undefined : entryOf(common, key))

    const emits = this.wordOf(at('emits'))
    if (emits === 'items' || emits === 'interactions') this.emits = emits
    else this.problem(at('emits')?.value.place ?? document.place, '`emits` must be `items` or `interactions`.')

    const format = this.wordOf(at('format')) as SourceFormat | undefined
    if (format === undefined || !formats.includes(format))
      this.problem(at('format')?.value.place ?? document.place, `\`format\` must be one of ${formats.join(', ')}.`)
    const schema_entry = at('schema')
    if (format === 'PLAIN_JSON' && schema_entry !== undefined)
      this.problem(
        schema_entry.key_place,
        'PLAIN_JSON has no schema; set format to JSON, AVRO or PROTOBUF, or take `schema` away.',
      )
    if (format !== undefined && format !== 'PLAIN_JSON' && schema === null)
      this.problem(
        schema_entry?.value.place ?? document.place,
        schema_entry === undefined
          ? `${format} needs a \`schema\`: a file beside the map or in schemas/source.`
          : `There is no schema file \`${this.wordOf(schema_entry)}\` beside the map or in schemas/source.`,
      )
    const topic = this.wordOf(at('topic')) ?? `source.${this.platform}.${kind}`
    if (!topic_name.test(topic)) this.problem(at('topic')?.value.place ?? document.place, `\`${topic}\` is no topic name.`)

    const defaults = {
      ...this.settingsFrom(this.mapOf(shared('settings'), '`settings`')),
      ...this.settingsFrom(this.mapOf(at('settings'), '`settings`')),
    }
    this.tablesFrom(this.mapOf(shared('tables'), '`tables`'))
    const shared_tables = new Set(this.tables.keys())
    this.tablesFrom(this.mapOf(at('tables'), '`tables`'))
    const category_words: Record<string, string> = {}
    this.categoriesFrom(this.mapOf(shared('categories'), '`categories`'), category_words)
    this.categoriesFrom(this.mapOf(at('categories'), '`categories`'), category_words)
    const version = `${this.wordOf(at('version')) ?? '1'}.${digestOf(this.file.text, common_text).slice(0, 8)}`

    if (schema !== null && format !== undefined && format !== 'PLAIN_JSON') this.record_shape = shapeOf(format, schema.text)
    this.current_shape = this.record_shape
    const shop = this.evalOf(at('shop') ?? shared('shop'), 'shop')
    this.letsFrom(this.mapOf(at('let'), '`let`'), true)
    const drops = this.dropsFrom(this.mapOf(at('drop'), '`drop`'))
    const gone = this.evalOf(at('delete'))
    const tombstone_key = this.evalOf(at('tombstone'))
    const group_map = this.mapOf(at('group'), '`group`')
    if (group_map !== undefined) this.checkKeys(group_map, ['id', 'members'], '`group`')
    const group_id = group_map === undefined ? null : this.evalOf(entryOf(group_map, 'id'), 'group id')
    const group_members = group_map === undefined ? null : this.evalOf(entryOf(group_map, 'members'), 'group members')
    if (group_map !== undefined && group_id === null) this.problem(group_map.place, '`group` needs an `id`.')
    const snapshot_map = this.mapOf(at('snapshot'), '`snapshot`')
    const snapshot = snapshot_map === undefined ? null : this.snapshotFrom(snapshot_map)
    const record_user = this.userFrom(at('user'))
    const record_session = this.evalOf(at('session'))
    for (const key of ['delete', 'group', 'tombstone', 'categories'])
      if (this.emits === 'interactions' && at(key) !== undefined)
        this.problem(at(key)!.key_place, `\`${key}\` is for maps of items.`)
    for (const key of ['user', 'session', 'snapshot'])
      if (this.emits === 'items' && at(key) !== undefined)
        this.problem(at(key)!.key_place, `\`${key}\` is for maps of interactions.`)

    const blocks: Block[] = []
    const categories = ownCategories(category_words)
    const emit = at('emit')
    if (emit === undefined) {
      const parts = document.entries.filter(({ key }) => ['each', 'fields', 'when'].includes(key))
      blocks.push(this.blockFrom({ ...document, entries: parts }, [], version, categories))
    } else if (emit.value.kind !== 'list') this.problem(emit.value.place, '`emit` must be a list of blocks.')
    else {
      for (const key of ['each', 'when'])
        if (at(key) !== undefined) this.problem(at(key)!.key_place, `\`${key}\` belongs into the blocks of \`emit\`.`)
      const shared_fields = this.mapOf(at('fields'), '`fields`')
      for (const node of emit.value.items) {
        if (node.kind !== 'map') {
          this.problem(node.place, 'A block of `emit` is a map.')
          continue
        }
        this.checkKeys(node, block_keys, 'A block of `emit`')
        blocks.push(this.blockFrom(node, [shared_fields], version, categories))
      }
    }
    if (this.emits === 'interactions' && record_user === null && blocks.some((block) => block.user === null))
      this.problem(document.place, '`user` is required: which fields hold a login, device or session id.')
    for (const name of this.tables.keys())
      if (!this.used_tables.has(name) && !shared_tables.has(name)) {
        const entry = entryOf(this.mapOf(at('tables'), '`tables`')!, name)
        this.problem(entry?.key_place ?? document.place, `The table \`${name}\` is never used.`, 'warning')
      }
    if (this.findings.some((finding) => finding.severity === 'error') || format === undefined) return null

    const source: PlatformSource = {
      topic,
      platform: this.platform,
      kind,
      emits: this.emits,
      format,
      schema: format === 'PLAIN_JSON' || schema === null ? null : { ...schema, format },
      subject: format === 'PLAIN_JSON' ? null : `${topic}-value`,
    }
    return compiled({
      source,
      version,
      explained: this.explained,
      defaults,
      shop,
      slots: { scopes: this.scopes.size, lets: this.lets.size },
      drops,
      gone,
      tombstone_key,
      group_id,
      group_members,
      snapshot,
      record_user,
      record_session,
      blocks,
    })
  }

  snapshotFrom(map: MapNode): SnapshotRules | null {
    this.checkKeys(map, snapshot_keys, '`snapshot`')
    const of = this.evalOf(entryOf(map, 'of'), 'snapshot of')
    const version = this.evalOf(entryOf(map, 'version'), 'snapshot version')
    this.value_shape = null
    const lines = this.evalOf(entryOf(map, 'lines'), 'snapshot lines')
    this.shapes.set(' line', this.value_shape)
    this.current_shape = this.value_shape
    const line = this.evalOf(entryOf(map, 'line'), 'snapshot line')
    const quantity = this.evalOf(entryOf(map, 'quantity'), 'snapshot quantity')
    this.current_shape = this.record_shape
    for (const key of snapshot_keys)
      if (entryOf(map, key) === undefined) this.problem(map.place, `\`snapshot\` needs \`${key}\`.`)
    this.has_change = true
    if (of === null || version === null || lines === null || line === null || quantity === null) return null
    return { of, version, lines, line, quantity }
  }
}

type SnapshotRules = { readonly [K in (typeof snapshot_keys)[number]]: Eval }

type Parts = {
  readonly source: PlatformSource
  readonly version: string
  readonly explained: readonly ExplainedRule[]
  readonly defaults: Readonly<Record<string, string>>
  readonly shop: Eval | null
  readonly slots: { readonly scopes: number; readonly lets: number }
  readonly drops: readonly Drop[]
  readonly gone: Eval | null
  readonly tombstone_key: Eval | null
  readonly group_id: Eval | null
  readonly group_members: Eval | null
  readonly snapshot: SnapshotRules | null
  readonly record_user: UserRule | null
  readonly record_session: Eval | null
  readonly blocks: readonly Block[]
}

/** Most outputs of one record, and how much larger than the record they may be together: a text of the record stands in each of them. */
const outputs_max = 10_000
const output_ratio_max = 64
const output_characters_free = 256 * 1024

/** Characters of all texts in a draft. */
const charactersOf = (value: unknown): number => {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 8
  let characters = 0
  if (Array.isArray(value)) for (const one of value) characters += charactersOf(one)
  else for (const name in value) characters += charactersOf((value as Record<string, unknown>)[name])
  return characters
}

/** The compiled map of parts that had no finding. */
const compiled = (parts: Parts): CompiledMap => {
  const { source, version, slots, blocks, drops, gone, group_id, group_members, snapshot, record_user, record_session } = parts

  const guarded = <T>(env: Env, act: () => T): T => {
    try {
      return act()
    } catch (error) {
      throw located(error, env.field)
    }
  }

  const open: CompiledMap['open'] = (input, run) => {
    const env: Env = {
      record: input.value,
      current: input.value,
      scopes: new Array<Value>(slots.scopes).fill(undefined),
      lets: new Array<Value>(slots.lets).fill(unset),
      shop: run.shopOf(source.platform, null, parts.defaults),
      run,
      headers: input.headers,
      bytes: input.bytes,
      log: input.log,
      change: null,
      ordinal: 0,
      work: 0,
      has_version: false,
      field: 'shop',
      rewrites: [],
    }
    if (parts.shop !== null && input.value !== null)
      guarded(env, () => {
        const id = asId(parts.shop!(env))
        if (id !== null) env.shop = run.shopOf(source.platform, id, parts.defaults)
      })
    return env
  }

  /** Calls `act` for each element of nested lists, innermost last; returns how many there were. */
  const forEach = (env: Env, each: readonly Level[], depth: number, act: () => void): number => {
    const level = each[depth]
    if (level === undefined) {
      act()
      return 1
    }
    const before = env.current
    let count = 0
    env.field = 'each'
    for (const element of listOf(level.eval(env))) {
      charge(env, element_work)
      env.current = element
      env.scopes[level.slot] = element
      count += forEach(env, each, depth + 1, act)
    }
    env.current = before
    return count
  }

  const firstDrop = (env: Env, rules: readonly Drop[]): MapDropReason | null => {
    for (const { reason, holds } of rules) {
      env.field = 'drop'
      if (isTrue(holds(env))) return reason
    }
    return null
  }

  let record_user_of: { env: Env; user: User; session: string | null } | undefined
  /** The user of a record is read once, of an element each time. */
  const userFor = (env: Env, block: Block | null): { user: User; session: string | null } => {
    const from_record = (block?.user ?? null) === null && (block?.session ?? null) === null
    if (from_record && record_user_of?.env === env) return record_user_of
    const atRecord = <T>(act: () => T): T => {
      const before = env.current
      env.current = env.record
      const result = act()
      env.current = before
      return result
    }
    const user = block?.user ? userOf(block.user, env) : atRecord(() => userOf(record_user!, env))
    env.field = 'session'
    const raw = block?.session
      ? asId(block.session(env))
      : record_session === null
        ? null
        : atRecord(() => asId(record_session(env)))
    const session = raw === null ? null : env.run.userKey(env.shop.user_realm, 'SESSION', raw)
    const read = { env, user, session }
    if (from_record) record_user_of = read
    return read
  }

  /** Visits every element that a block takes; what became of the others decides the record's fate when nothing is emitted. */
  const emitAll = <T>(env: Env, make: (block: Block) => T): readonly T[] | Reading => {
    const out: T[] = []
    let dropped: MapDropReason | null = null
    let elements = 0
    let matched = false
    let characters = 0
    for (const block of blocks) {
      elements += forEach(env, block.each, 0, () => {
        for (const slot of block.let_slots) env.lets[slot] = unset
        env.field = 'when'
        if (block.when !== null && !isTrue(block.when(env))) return
        matched = true
        const reason = firstDrop(env, block.drops)
        if (reason !== null) dropped ??= reason
        else {
          const made = make(block)
          out.push(made)
          // One output is no larger than its record; more than one may be.
          if (++env.ordinal > 1) characters += charactersOf(made)
          if (env.ordinal > outputs_max) throw refuse('limits.items', `the record asks for more than ${outputs_max} outputs`)
          if (characters > Math.max(output_characters_free, env.bytes * output_ratio_max))
            throw refuse('emit.too_large', `the outputs are more than ${output_ratio_max} times as large as the record`)
          env.rewrites = []
        }
      })
    }
    if (out.length > 0) return out
    if (dropped !== null) return { kind: 'drop', reason: dropped }
    if (elements === 0) return { kind: 'drop', reason: 'no_lines' }
    if (!matched) throw new Fault('map.unmatched', 'No block of the map takes this record: no `when` holds.')
    return { kind: 'drop', reason: 'no_lines' }
  }

  const groupId = (env: Env): string | null => {
    if (group_id === null) return null
    env.field = 'group'
    return asId(group_id(env))
  }

  const removalOf = (env: Env): Removal => {
    const variants: string[] = []
    let version_at: number | null = null
    for (const block of blocks)
      forEach(env, block.each, 0, () => {
        const id = block.item!.id(env)
        if (id !== null) variants.push(id)
        version_at ??= block.item!.version(env)
      })
    env.current = env.record
    version_at ??= blocks[0]!.item!.version(env)
    return { variants, group: groupId(env), version: version_at }
  }

  const snapshotOf = (env: Env, rules: SnapshotRules): Extract<Reading, { kind: 'snapshot' }> => {
    env.field = 'snapshot of'
    const id = asId(rules.of(env))
    if (id === null) throw refuse('map.missing', 'the identity of the snapshot is missing')
    env.field = 'snapshot version'
    const at = asTime(rules.version(env), env)
    if (at === null) throw refuse('map.missing', 'the version of the snapshot is missing')
    const lines = new Map<string, { quantity: number; element: Value }>()
    env.field = 'snapshot lines'
    for (const element of listOf(rules.lines(env))) {
      env.current = element
      env.field = 'snapshot line'
      const line = asId(rules.line(env))
      env.field = 'snapshot quantity'
      const quantity = numberOf(rules.quantity(env)) ?? 1
      if (quantity < 0 || quantity > 1e9) throw refuse('number.range', 'a quantity from 0 is wanted')
      if (line !== null && quantity > 0) lines.set(line, { quantity: quantity + (lines.get(line)?.quantity ?? 0), element })
    }
    env.current = env.record
    const keyed = env.run.keyed('snapshot', source.topic, env.shop.merchant_id, id)
    const reading: SnapshotReading = {
      id: keyed,
      version: at,
      lines: [...lines].map(([line, { quantity, element }]) => ({ line, quantity, element })),
    }
    const change = (one: LineChange): InteractionDraft | MapDropReason =>
      guarded(env, () => {
        env.current = one.element
        env.change = { type: one.type, quantity: one.quantity, line: one.line, id: `${keyed}:${at}:${one.line}:${one.now}` }
        env.rewrites = []
        for (const block of blocks) {
          for (const slot of block.let_slots) env.lets[slot] = unset
          if (block.when !== null && !isTrue(block.when(env))) continue
          const reason = firstDrop(env, block.drops)
          if (reason !== null) return reason
          const { user, session } = userFor(env, block)
          const draft = block.interaction!(env, user, session)
          env.ordinal++
          return draft
        }
        throw new Fault('map.unmatched', 'No block of the map takes this line: no `when` holds.')
      })
    return { kind: 'snapshot', snapshot: reading, change }
  }

  const read = (env: Env): Reading => {
    record_user_of = undefined
    const reason = firstDrop(env, drops)
    if (reason !== null) return { kind: 'drop', reason }
    if (source.emits === 'interactions') {
      if (snapshot !== null) return snapshotOf(env, snapshot)
      const interactions = emitAll(env, (block) => {
        const { user, session } = userFor(env, block)
        return block.interaction!(env, user, session)
      })
      return 'kind' in interactions ? interactions : { kind: 'interactions', interactions }
    }
    env.field = 'delete'
    if (gone !== null && isTrue(gone(env))) return { kind: 'removal', removal: removalOf(env) }
    const items = emitAll(env, (block): ItemDraft => block.item!.build(env))
    if ('kind' in items) return items
    env.current = env.record
    const group = groupId(env)
    if (group === null) return { kind: 'items', items, has_version: env.has_version, group: null }
    env.field = 'group'
    const named = group_members === null ? [] : listOf(group_members(env)).flatMap((one) => textOf(one) ?? [])
    const members = [...new Set([...items.map((item) => item.source_variant_id), ...named])]
    return { kind: 'items', items, has_version: env.has_version, group: { id: group, members } }
  }

  const tombstone = (env: Env): Removal => {
    env.field = 'tombstone'
    const key = asId(parts.tombstone_key === null ? env.log.key : parts.tombstone_key(env))
    if (key === null) throw refuse('key.missing', 'a deletion needs the key of what is deleted')
    return group_id === null ? { variants: [key], group: null, version: null } : { variants: [], group: key, version: null }
  }

  return {
    source,
    version,
    explained: parts.explained,
    open,
    read: (env) => guarded(env, () => read(env)),
    tombstone: source.emits === 'items' ? (env) => guarded(env, () => tombstone(env)) : null,
  }
}

/** Compiles every map of a platform. The platform is null when any finding is an error. */
export const compilePlatform = (files: PlatformFiles, tools: CompileTools): CompiledPlatform => {
  const findings: Finding[] = []
  const start: Place = { file: files.maps[0]?.document.place.file ?? files.name, line: 1, column: 1 }
  if (!platform_name.test(files.name))
    findings.push({
      place: start,
      severity: 'error',
      message: `The folder \`${files.name}\` is no platform name: lower-case letters, digits and underscores, at most 32.`,
    })
  const common = files.common?.document ?? null
  if (common !== null) {
    const checker = new MapCompiler(files.name, { kind: 'platform', document: common, text: '', schema: null }, tools)
    checker.checkKeys(common, common_keys, 'platform.yaml')
    findings.push(...checker.findings)
  }
  const maps: CompiledMap[] = []
  const topics = new Map<string, string>()
  for (const file of files.maps) {
    const compiler = new MapCompiler(files.name, file, tools)
    const map = compiler.compile(common, files.common?.text ?? '')
    findings.push(...compiler.findings)
    if (map === null) continue
    const other = topics.get(map.source.topic)
    if (other !== undefined)
      findings.push({
        place: file.document.place,
        severity: 'error',
        message: `The topic ${map.source.topic} is read by ${other} already.`,
      })
    topics.set(map.source.topic, file.kind)
    maps.push(map)
  }
  if (files.maps.length === 0) findings.push({ place: start, severity: 'error', message: 'The folder holds no map.' })
  const ok = !findings.some((finding) => finding.severity === 'error')
  return { platform: ok ? { name: files.name, sources: maps.map((map) => map.source), maps } : null, findings }
}
