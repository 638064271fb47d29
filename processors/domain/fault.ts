/** The one error class. Its kind says what the runtime does next; its code says what happened. */

/**
 * - `malformed`: this input can never succeed: dead-letter it with the code, advance.
 * - `transient`: the world may recover: back off, do not advance, never dead-letter.
 * - `fenced`: a newer owner exists: stop the task silently, rejoin.
 * - `corrupt`: local state may disagree with the log: drop it, restore, resume.
 * - `misconfigured`: an operator's value is wrong: refuse to start; the message names value and remedy.
 * - `defect`: an assertion of ours broke: crash loudly; never dead-letter.
 */
export type FaultKind = 'malformed' | 'transient' | 'fenced' | 'corrupt' | 'misconfigured' | 'defect'

type CodeSpec = { readonly kind: FaultKind; readonly means: string; readonly remedy: string }

/** Every code there is: metric label, dead-letter header and heading of docs/reference/errors.md. */
export const fault_codes = {
  'decode.empty': {
    kind: 'malformed',
    means: 'The value has no bytes but is not a tombstone.',
    remedy: 'Publish null to delete, or a full record.',
  },
  'decode.magic': {
    kind: 'malformed',
    means: 'The first byte is not 0, so the value is not in Confluent wire format.',
    remedy: 'Serialise with a schema-registry serialiser, or set `format: plain-json` in the map.',
  },
  'decode.truncated': {
    kind: 'malformed',
    means: 'The value ends before its schema says it does.',
    remedy: 'Look at the producer; the bytes are in the dead letter.',
  },
  'decode.trailing': {
    kind: 'malformed',
    means: 'Bytes follow the datum.',
    remedy: 'The producer wrote with another schema than the id in the header.',
  },
  'decode.index': {
    kind: 'malformed',
    means: 'The Protobuf message index is negative, too long or out of range.',
    remedy: 'Use a Confluent-compatible Protobuf serialiser.',
  },
  'decode.invalid': {
    kind: 'malformed',
    means: 'The bytes do not follow the schema.',
    remedy: 'Validate at the producer with the registered schema.',
  },
  'decode.utf8': { kind: 'malformed', means: 'An id or key is not valid UTF-8.', remedy: 'Publish ids as UTF-8 strings.' },
  'schema.unknown': {
    kind: 'malformed',
    means: 'A healthy registry does not know the schema id.',
    remedy: 'Register the schema before publishing with it.',
  },
  'schema.subject_mismatch': {
    kind: 'malformed',
    means: 'The schema id belongs to another subject than this topic.',
    remedy: 'Register the schema under <topic>-value.',
  },
  'schema.type': {
    kind: 'malformed',
    means: 'The schema is of another format than the map declares.',
    remedy: 'Publish in the declared format, or change the map.',
  },
  'schema.resolve': {
    kind: 'malformed',
    means: 'Writer and reader schema cannot be resolved.',
    remedy: 'Give renamed or removed fields a default or an alias.',
  },
  'schema.hostile': {
    kind: 'malformed',
    means: 'The schema breaks a limit of the lint (depth, fields, names, patterns, references).',
    remedy: 'See `entrepot lint`.',
  },
  'schema.validation': {
    kind: 'malformed',
    means: 'The JSON value does not satisfy its JSON Schema.',
    remedy: 'The message names the path.',
  },
  'key.missing': {
    kind: 'malformed',
    means: 'The key is null or empty where one is needed.',
    remedy: 'Key the record by its id.',
  },
  'key.too_long': { kind: 'malformed', means: 'The key is longer than 1 KiB.', remedy: 'Use the id itself as key.' },
  'json.syntax': { kind: 'malformed', means: 'The value is not JSON.', remedy: 'Publish UTF-8 JSON without a byte order mark.' },
  'json.dup_key': { kind: 'malformed', means: 'One object holds a key twice.', remedy: 'Write each key once.' },
  'json.proto': { kind: 'malformed', means: 'A key is __proto__, constructor or prototype.', remedy: 'Rename the field.' },
  'limits.bytes': {
    kind: 'malformed',
    means: 'The record is larger than 1 MiB.',
    remedy: 'Publish references to large content, not the content.',
  },
  'limits.depth': { kind: 'malformed', means: 'The value is nested deeper than 32 levels.', remedy: 'Flatten it.' },
  'limits.items': { kind: 'malformed', means: 'An array, map or object has too many entries.', remedy: 'Split the record.' },
  'limits.string': { kind: 'malformed', means: 'A string is longer than 64 Ki characters.', remedy: 'Trim it at the source.' },
  'number.unsafe': {
    kind: 'malformed',
    means: 'An integer is beyond 2^53 where a number is read.',
    remedy: 'Publish ids as strings.',
  },
  'number.range': { kind: 'malformed', means: 'A number is outside its type.', remedy: 'Check the unit and the type.' },
  'number.nonfinite': { kind: 'malformed', means: 'A number is NaN or infinite.', remedy: 'Leave the field out instead.' },
  'time.invalid': {
    kind: 'malformed',
    means: 'A time is not a time, has no known zone, or lies outside 2000 to now + 1 day.',
    remedy: 'Check unit and zone in the map.',
  },
  'map.missing': {
    kind: 'malformed',
    means: 'A required field is missing or empty.',
    remedy: 'The message names the path; add it, or give the map a default.',
  },
  'map.type': {
    kind: 'malformed',
    means: 'A field has another type than the map expects.',
    remedy: 'The message names the path and the type found.',
  },
  'map.unmatched': {
    kind: 'malformed',
    means: 'No rule of the map covers this kind of record.',
    remedy: 'Add a rule or a drop to the map.',
  },
  'semantics.user': {
    kind: 'malformed',
    means: 'The user id is missing or empty.',
    remedy: 'Publish a login, device or session id.',
  },
  'semantics.price': {
    kind: 'malformed',
    means: 'A price is negative, absurd or written in a local format.',
    remedy: 'Publish plain decimals.',
  },
  'semantics.currency': {
    kind: 'malformed',
    means: 'A price has no ISO 4217 currency.',
    remedy: "Set the shop's currency in the platform settings.",
  },
  'semantics.enum': { kind: 'malformed', means: 'A value is outside its closed list.', remedy: 'The message names the list.' },
  'privacy.raw_id': {
    kind: 'malformed',
    means: 'An e-mail or phone number stands where an id belongs.',
    remedy: 'Publish an opaque id.',
  },
  'id.conflict': {
    kind: 'malformed',
    means: 'One event id came with two contents.',
    remedy: 'Give each event its own id; the first one stands.',
  },
  'join.missing': {
    kind: 'malformed',
    means: 'The product of this interaction did not appear in time.',
    remedy: 'Publish the product, then replay the dead letter.',
  },
  'embed.empty': { kind: 'malformed', means: 'Nothing is left to embed.', remedy: 'Publish a title.' },
  'embed.degenerate': {
    kind: 'malformed',
    means: 'The vector is zero, not finite or of a wrong length.',
    remedy: 'Check the model.',
  },
  'image.refused': {
    kind: 'malformed',
    means: 'An image is not fetched or decoded: its scheme, address, size, format or number of pixels.',
    remedy: 'Publish a JPEG, PNG, WebP, GIF or AVIF behind a public URL; own servers: image_model.allow_private.',
  },
  'image.missing': {
    kind: 'malformed',
    means: 'Behind the URL of an image there is none.',
    remedy: 'Publish the item with a URL that works.',
  },
  'image.broken': {
    kind: 'malformed',
    means: 'An image cannot be decoded.',
    remedy: 'Publish another file.',
  },
  'emit.too_large': {
    kind: 'malformed',
    means: 'The outcome is larger than one record may be.',
    remedy: 'Shorten the source record.',
  },

  'registry.unavailable': {
    kind: 'transient',
    means: 'The schema registry does not answer.',
    remedy: 'The partition waits; nothing is dead-lettered.',
  },
  'log.unavailable': {
    kind: 'transient',
    means: 'The log does not answer.',
    remedy: 'Look at the brokers; work resumes by itself.',
  },
  'log.full': { kind: 'transient', means: 'No space is left for the log.', remedy: 'Free disk space; work resumes by itself.' },
  'index.unavailable': {
    kind: 'transient',
    means: 'The vector index does not answer or did not complete a write.',
    remedy: 'Look at the index; the same write is sent again.',
  },
  'image.unavailable': {
    kind: 'transient',
    means: 'The server of an image does not answer.',
    remedy: 'It is tried again with the next change of the item; the item is searchable by its text.',
  },
  'embedder.unavailable': {
    kind: 'transient',
    means: 'The embedding worker died or is too slow.',
    remedy: 'It is restarted; the texts are tried again.',
  },
  'model.unavailable': {
    kind: 'transient',
    means: 'The source of a model does not answer, or broke off again and again.',
    remedy: 'Run the same `entrepot model pull` again: it goes on where it stopped.',
  },

  'task.fenced': {
    kind: 'fenced',
    means: 'Another process owns this partition now.',
    remedy: 'None: the task stops and the group goes on.',
  },

  'commit.unknown': {
    kind: 'corrupt',
    means: 'The outcome of a commit is unknown.',
    remedy: 'None: state is dropped and restored from the log.',
  },
  'log.refused': {
    kind: 'corrupt',
    means: 'A topic refuses a record of a commit as too large.',
    remedy: 'Raise max.message.bytes of the topic that the message names to 4 MiB; the partition waits and goes on by itself.',
  },
  'state.corrupt': { kind: 'corrupt', means: 'A state record cannot be read.', remedy: 'State is restored from the log.' },

  'config.unknown_key': {
    kind: 'misconfigured',
    means: 'The configuration has a key nobody reads.',
    remedy: 'The message names the nearest key.',
  },
  'config.invalid': {
    kind: 'misconfigured',
    means: 'A setting has a wrong type or range.',
    remedy: 'The message names the field and what it takes.',
  },
  'config.missing': { kind: 'misconfigured', means: 'A needed setting is absent.', remedy: 'The message names it.' },
  'map.invalid': {
    kind: 'misconfigured',
    means: 'A platform map cannot be compiled.',
    remedy: 'Run `entrepot lint`; the message names file and line.',
  },
  'schema.incompatible': {
    kind: 'misconfigured',
    means: 'A schema breaks its subject’s compatibility.',
    remedy: 'Add defaults, or publish under a new topic version.',
  },
  'schema.unregistered': {
    kind: 'misconfigured',
    means: 'A canonical schema is not registered under its subject.',
    remedy: 'Run `entrepot schemas register`.',
  },
  'schema.lint': { kind: 'misconfigured', means: 'A schema of ours breaks the lint.', remedy: 'The message names the path.' },
  'model.missing': {
    kind: 'misconfigured',
    means: 'The weights of the model are not there.',
    remedy: 'The message holds the command that gets them.',
  },
  'model.sha256': {
    kind: 'misconfigured',
    means: 'A model file is not the pinned one.',
    remedy: 'The message holds the command that gets it again.',
  },
  'model.shape': {
    kind: 'misconfigured',
    means: 'The model has other inputs, outputs or dimensions than declared.',
    remedy: 'Correct the model card in the configuration.',
  },
  'model.check': {
    kind: 'misconfigured',
    means: 'This machine computes other vectors than the model’s card says.',
    remedy: 'Run `entrepot model verify`; try another of model.providers.',
  },
  'model.refused': {
    kind: 'misconfigured',
    means: 'The source of a model has none that can be taken: absent, gated, or of a kind that is not supported.',
    remedy: 'The message names what is wanted.',
  },
  'model.licence': {
    kind: 'misconfigured',
    means: 'Nothing says under which licence the weights may be used.',
    remedy: 'Find out, then name it: `entrepot model pull <source> --licence <id>`.',
  },
  'model.store': {
    kind: 'misconfigured',
    means: 'The folder of pulled models cannot be written, is full, or is being written by another process.',
    remedy: 'Free disk space, or set model.store to another folder; a pull goes on where it stopped.',
  },
  'model.changed': {
    kind: 'misconfigured',
    means: 'The vectors that are live were made by another model than the settings name.',
    remedy:
      'Name that model again and the new one in model.next: it is re-embedded beside the live one and takes over by itself.',
  },
  'index.dimension': {
    kind: 'misconfigured',
    means: 'The collection holds vectors of another length.',
    remedy: 'Use a new collection, or the old model.',
  },
  'index.version': {
    kind: 'misconfigured',
    means: 'The vector index is too old or not reachable with this key.',
    remedy: 'The message names both versions.',
  },
  'topic.missing': { kind: 'misconfigured', means: 'A topic does not exist.', remedy: 'Run `entrepot topics create`.' },
  'topic.mismatch': {
    kind: 'misconfigured',
    means: 'A topic has other partitions or clean-up than the topology.',
    remedy: 'Partition counts are never changed in place; the message names both.',
  },
  'offset.gap': {
    kind: 'misconfigured',
    means: 'The log no longer holds the next offset: records were deleted before they were read.',
    remedy: 'Decide: `entrepot run --accept-gap <topic>/<partition>` goes on from the oldest record that is left.',
  },
  'breaker.open': {
    kind: 'misconfigured',
    means: 'Too many records in a row were dead-lettered.',
    remedy: 'Correct the map or the producer, replay with `entrepot dlq replay`, and start again.',
  },
  'log.locked': {
    kind: 'misconfigured',
    means: 'Another process has this folder open.',
    remedy: 'Stop it, or use another folder.',
  },
  'log.codec': {
    kind: 'misconfigured',
    means: 'A topic holds batches in a compression that is not supported here (Snappy, LZ4).',
    remedy: 'Set compression.type=zstd on the topic or in its producers; the message names the codec.',
  },
  'limits.inflate': {
    kind: 'misconfigured',
    means: 'A batch of a topic unfolds into more than 64 MiB, or into more than 200 times its size.',
    remedy:
      'The message names the place: stop its producer, delete up to behind the batch (kafka-delete-records), go on with `entrepot run --accept-gap <topic>/<partition>`.',
  },
  'log.unauthorized': {
    kind: 'misconfigured',
    means: 'The brokers refuse these credentials, or the principal lacks a right.',
    remedy: 'The message names what was refused: correct the credentials, or grant the right.',
  },
  'log.corrupt': {
    kind: 'misconfigured',
    means: 'The log fails its integrity check.',
    remedy: 'Embedded: restore the folder from a copy. Kafka: the message names the partition and offset.',
  },

  'progress.stalled': {
    kind: 'defect',
    means: 'Records wait, nothing is paused, and nothing moved for the progress time-out.',
    remedy: 'The process exits with 70 so that its supervisor restarts it; report it with the log.',
  },
  'outcome.lost': {
    kind: 'defect',
    means: 'A processor neither emitted, dropped nor dead-lettered a record.',
    remedy: 'Report it with the processor and offset named.',
  },
  'outcome.invalid': { kind: 'defect', means: 'A processor returned an outcome that breaks its contract.', remedy: 'Report it.' },
  'defect.unexpected': { kind: 'defect', means: 'An error nobody classified.', remedy: 'Report it with the stack trace.' },
} as const satisfies Record<string, CodeSpec>

export type FaultCode = keyof typeof fault_codes

/** Where and with what value it happened. Never holds payload text, raw user ids or secrets: faults are logged. */
export type FaultDetail = Readonly<Record<string, string | number | boolean | undefined>>

export class Fault extends Error {
  readonly kind: FaultKind
  readonly code: FaultCode
  readonly detail: FaultDetail

  constructor(code: FaultCode, message: string, detail: FaultDetail = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'Fault'
    this.code = code
    this.kind = fault_codes[code].kind
    this.detail = detail
  }
}

/** The fault itself, or `defect.unexpected` around an error that nobody classified. */
export const asFault = (error: unknown): Fault =>
  error instanceof Fault
    ? error
    : new Fault('defect.unexpected', error instanceof Error ? error.message : String(error), {}, error)
