/** How large a source record and a schema may be; everything beyond is refused before it can cost memory or time. */

/** Bounds of one decoded record. */
export type DecodeLimits = {
  /** The whole record, wire header included. */
  readonly record_bytes_max: number
  /** Nesting of objects, arrays, maps and messages. */
  readonly depth_max: number
  /** Keys of one object or map. */
  readonly keys_max: number
  /** Items of one array. */
  readonly items_max: number
  /** Keys and items of all objects, maps and arrays together: what a record of many small parts costs beyond its bytes. */
  readonly entries_max: number
  /** Fields of all records and messages inside others, absent ones included: two bytes may stand for a record of 2,000 nulls. */
  readonly values_max: number
  /** UTF-16 code units of one string. */
  readonly string_chars_max: number
}

export const decode_limits: DecodeLimits = {
  record_bytes_max: 1024 * 1024,
  depth_max: 32,
  keys_max: 1_000,
  items_max: 10_000,
  entries_max: 100_000,
  values_max: 400_000,
  string_chars_max: 64 * 1024,
}

/** Bounds of one schema, its references included. */
export type SchemaLimits = {
  readonly bytes_max: number
  /** Nesting of types. */
  readonly depth_max: number
  readonly fields_max: number
  /** Fields of one Protobuf message: protobufjs' time to parse grows with their square. */
  readonly message_fields_max: number
  readonly nodes_max: number
  readonly references_max: number
  /** Symbols of one enum. */
  readonly symbols_max: number
  /** Branches of one union: avsc compares each with every other. */
  readonly branches_max: number
  readonly name_chars_max: number
  readonly pattern_chars_max: number
  /** Subschemas that one value may be checked against in the worst case. */
  readonly cost_max: number
}

export const schema_limits: SchemaLimits = {
  bytes_max: 256 * 1024,
  depth_max: 32,
  fields_max: 2_000,
  message_fields_max: 500,
  nodes_max: 10_000,
  references_max: 50,
  symbols_max: 2_000,
  branches_max: 100,
  name_chars_max: 256,
  pattern_chars_max: 512,
  cost_max: 10_000,
}

/** Bounds of the work of holding one JSON value against its schema. */
export type ValidationLimits = {
  /** Comparisons: values times what each may be held against, and characters times what counts them. About 10 ns each. */
  readonly comparisons_max: number
  /** Steps of regular expressions: characters times instructions. About 3 ns each at worst. */
  readonly pattern_steps_max: number
}

export const validation_limits: ValidationLimits = { comparisons_max: 200_000_000, pattern_steps_max: 500_000_000 }

/** Names that would reach an object's prototype if they ever became property names of an ordinary object. */
export const isUnsafeName = (name: string): boolean => name === '__proto__' || name === 'constructor' || name === 'prototype'
