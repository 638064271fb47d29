/**
 * Every setting there is, declared once as a value: loader, `--help`, JSON schema, docs/reference/config.md, redaction and the
 * `Settings` type are printed or inferred from it. Add a setting here and nowhere else.
 */
import { interaction_types } from '../domain/interaction.ts'
import type { Secret } from './secret.ts'

export type SettingType = 'text' | 'url' | 'integer' | 'number' | 'flag' | 'choice' | 'list' | 'numbers' | 'shops' | 'secret'

/** What a derived default may look at: the value of another setting, by dotted name. */
export type Given = (name: string) => unknown

export type Setting<T> = {
  readonly type: SettingType
  /** One or two sentences: what it does, and when to change it. */
  readonly doc: string
  readonly default: T
  readonly unit?: string
  readonly example?: string
  /** Inclusive. */
  readonly min?: number
  readonly max?: number
  /** The values a choice, or the items of a list, may take. */
  readonly allowed?: readonly string[]
  /** The keys a table may have. */
  readonly keys?: readonly string[]
  readonly pattern?: { readonly expression: RegExp; readonly says: string }
  /** Names besides ENTREPOT_<SECTION>_<KEY> that people's environments already hold; the first one set wins. */
  readonly env?: readonly string[]
  /** A default that depends on other settings. */
  readonly derived?: { readonly says: string; readonly from: (given: Given) => T }
}

export type Fields = { readonly [key: string]: Setting<unknown> | Section }
export type Section<F extends Fields = Fields> = { readonly section: string; readonly fields: F }

type Options<T> = Omit<Setting<T>, 'type' | 'default'>
/** T, or T | null where the default is null: a setting that may stay unset. */
type Widened<D, T> = null extends D ? T | null : T

const section = <const F extends Fields>(doc: string, fields: F): Section<F> => ({ section: doc, fields })
const text = <D extends string | null>(fallback: D, options: Options<Widened<D, string>>): Setting<Widened<D, string>> => ({
  type: 'text',
  default: fallback as Widened<D, string>,
  ...options,
})
const url = (options: Options<string | null>): Setting<string | null> => ({ type: 'url', default: null, ...options })
const integer = <D extends number | null>(fallback: D, options: Options<Widened<D, number>>): Setting<Widened<D, number>> => ({
  type: 'integer',
  default: fallback as Widened<D, number>,
  ...options,
})
const number = (fallback: number, options: Options<number>): Setting<number> => ({
  type: 'number',
  default: fallback,
  ...options,
})
const flag = (fallback: boolean, options: Options<boolean>): Setting<boolean> => ({ type: 'flag', default: fallback, ...options })
const choice = <const A extends readonly string[], D extends A[number] | null>(
  allowed: A,
  fallback: D,
  options: Options<Widened<D, A[number]>>,
): Setting<Widened<D, A[number]>> => ({ type: 'choice', allowed, default: fallback as Widened<D, A[number]>, ...options })
const list = (fallback: readonly string[], options: Options<readonly string[]>): Setting<readonly string[]> => ({
  type: 'list',
  default: fallback,
  ...options,
})
type Numbers = Readonly<Record<string, number>>
const numbers = (fallback: Numbers, options: Options<Numbers>): Setting<Numbers> => ({
  type: 'numbers',
  default: fallback,
  ...options,
})
/** Free settings of each shop by platform name, e.g. `{ shopify: { currency: 'EUR' } }`. */
export type Shops = Readonly<Record<string, Readonly<Record<string, string>>>>
const shops = (options: Options<Shops>): Setting<Shops> => ({ type: 'shops', default: {}, ...options })
/** No default and never shown; beside the key itself, `<key>_file` names a file that holds it. */
const secret = (options: Options<Secret | null>): Setting<Secret | null> => ({ type: 'secret', default: null, ...options })

const mib = 1024 * 1024

/** How a stage gathers a batch: whichever bound is reached first. */
const bounds = (stage: string, records_max: number, linger_ms: number, bytes_max = 8 * mib) =>
  section(`How \`${stage}\` gathers a batch; whichever bound is reached first ends it.`, {
    records_max: integer(records_max, { doc: 'Most records in a batch.', unit: 'records', min: 1, max: 10_000 }),
    bytes_max: integer(bytes_max, { doc: 'Most bytes in a batch.', unit: 'bytes', min: 64 * 1024, max: 64 * mib }),
    linger_ms: integer(linger_ms, {
      doc: 'How long to gather after the first record is there. Longer saves round trips, shorter saves time.',
      unit: 'ms',
      min: 0,
      max: 10_000,
    }),
  })

export const spec = section('One YAML file, environment variables and `--set` make up the settings.', {
  mode: choice(['embedded', 'servers'], 'embedded', {
    doc: '`embedded` keeps log, state, schemas and vectors in one folder and one process; `servers` uses Kafka, a schema registry and Qdrant.',
    derived: {
      says: '`servers` when kafka.brokers is set, else `embedded`',
      from: (given) => ((given('kafka.brokers') as readonly string[]).length > 0 ? 'servers' : 'embedded'),
    },
  }),
  data: section('What this process keeps on disk.', {
    folder: text('.entrepot', {
      doc: 'The folder of the embedded log, state, schemas and vectors; caches in servers mode. One process at a time may have it open.',
      example: '/var/lib/entrepot',
    }),
  }),
  kafka: section('The brokers, in servers mode.', {
    brokers: list([], {
      doc: 'Bootstrap brokers, host:port. Setting them turns servers mode on.',
      example: 'kafka-1:9092,kafka-2:9092',
      pattern: { expression: /^[^\s:,]+:\d{1,5}$|^\[[0-9a-f:]+\]:\d{1,5}$/iu, says: 'host:port' },
      env: ['KAFKA_BROKERS', 'KAFKA_BOOTSTRAP_SERVERS'],
    }),
    client_id: text('entrepot', { doc: 'Client id in broker logs and quotas.', env: ['KAFKA_CLIENT_ID'] }),
    group_prefix: text('entrepot', {
      doc: 'Prefix of consumer groups and transactional ids: `<prefix>.<stage>`. Two deployments on one cluster need two prefixes.',
      pattern: { expression: /^[a-zA-Z0-9._-]{1,100}$/u, says: 'letters, digits, dot, underscore and hyphen' },
      env: ['KAFKA_GROUP_ID'],
    }),
    sasl: section('Authentication at the brokers.', {
      mechanism: choice(['plain', 'scram-sha-256', 'scram-sha-512'], null, {
        doc: 'SASL mechanism; unset means none.',
        env: ['KAFKA_SASL_MECHANISM'],
      }),
      username: text(null, { doc: 'SASL user name.', env: ['KAFKA_SASL_USERNAME'] }),
      password: secret({ doc: 'SASL password.', env: ['KAFKA_SASL_PASSWORD'] }),
    }),
    ssl: section('Encryption to the brokers. Certificates are always checked; there is no setting to switch that off.', {
      enabled: flag(false, { doc: 'Speak TLS to the brokers.', env: ['KAFKA_SSL_ENABLED', 'KAFKA_SSL'] }),
      ca_file: text(null, { doc: 'PEM file of the authorities to trust; unset means the system’s.', env: ['KAFKA_SSL_CA_FILE'] }),
      cert_file: text(null, { doc: 'PEM file of the client certificate, for mutual TLS.', env: ['KAFKA_SSL_CERT_FILE'] }),
      key: secret({ doc: 'PEM text of the client key, for mutual TLS; usually given as a file.', env: ['KAFKA_SSL_KEY'] }),
    }),
    connection_timeout_ms: integer(5_000, { doc: 'Longest wait for a connection.', unit: 'ms', min: 100, max: 60_000 }),
    request_timeout_ms: integer(30_000, { doc: 'Longest wait for an answer.', unit: 'ms', min: 1_000, max: 300_000 }),
    session_timeout_ms: integer(30_000, {
      doc: 'A member silent for this long loses its partitions.',
      unit: 'ms',
      min: 6_000,
      max: 300_000,
    }),
    rebalance_timeout_ms: integer(60_000, {
      doc: 'How long a rebalance waits for members to finish what is in flight; more than limits.drain_s.',
      unit: 'ms',
      min: 10_000,
      max: 600_000,
    }),
    transaction_timeout_ms: integer(15_000, {
      doc: 'The broker aborts a transaction that is open for longer; readers behind it wait that long after a crash.',
      unit: 'ms',
      min: 1_000,
      max: 900_000,
    }),
  }),
  registry: section('The Confluent-compatible schema registry, in servers mode.', {
    url: url({ doc: 'Base URL.', example: 'http://schema-registry:8081', env: ['SCHEMA_REGISTRY_URL'] }),
    basic_auth: secret({
      doc: '`user:password` for basic authentication.',
      env: ['SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO'],
    }),
    timeout_ms: integer(5_000, { doc: 'Longest wait for an answer.', unit: 'ms', min: 100, max: 60_000 }),
  }),
  qdrant: section('The vector index, in servers mode. Without a URL the embedded index of the data folder is used.', {
    url: url({ doc: 'REST URL.', example: 'http://qdrant:6333', env: ['QDRANT_URL'] }),
    api_key: secret({
      doc: 'API key. A token limited to `<collection>` and `<collection>-<first 8 digits of the model’s digest>` reads and writes; the first start and `entrepot rebuild` need one that may manage collections.',
      env: ['QDRANT_API_KEY'],
    }),
    collection: text('entrepot', {
      doc: 'Alias of the collection and prefix of its name; the model’s digest, the schema version and the generation follow it.',
      pattern: { expression: /^[a-zA-Z0-9_-]{1,64}$/u, says: 'letters, digits, underscore and hyphen' },
    }),
    timeout_ms: integer(5_000, { doc: 'Longest wait for an answer.', unit: 'ms', min: 100, max: 300_000 }),
    batch_points_max: integer(500, { doc: 'Most points in one request.', unit: 'points', min: 1, max: 5_000 }),
    replication_factor: integer(1, { doc: 'Copies of each shard, on a Qdrant cluster.', unit: 'copies', min: 1, max: 7 }),
  }),
  index: section('The comparison of the vector index with the topics that it is a view of.', {
    verify_hours: number(24, {
      doc: 'How often the index is compared with the topics and put right, by the process that owns partition 0 of the vectors topic; it is also done soon after the index was away. 0 switches it off: `entrepot repair` does it by hand.',
      unit: 'hours',
      min: 0,
      max: 8_760,
    }),
  }),
  image_model: section('An image encoder, optional: items are then found by what they look like as well.', {
    folder: text(null, {
      doc: 'Folder of a CLIP-class image encoder: ONNX weights and image-model.json. Unset, no image is fetched and nothing is kept of any.',
      example: '/models/clip-vit-b32-vision',
    }),
    refetch_hours: integer(720, {
      doc: 'An image is fetched again with the next change of its item, this long after it was fetched.',
      unit: 'hours',
      min: 1,
      max: 87_600,
    }),
    retry_hours: integer(24, {
      doc: 'An image that is missing, refused or broken is tried again with the next change of its item, this long after.',
      unit: 'hours',
      min: 1,
      max: 87_600,
    }),
    bytes_max: integer(8 * mib, { doc: 'Largest image file.', unit: 'bytes', min: 1_024, max: 64 * mib }),
    timeout_ms: integer(10_000, { doc: 'Longest wait for one image, redirects included.', unit: 'ms', min: 100, max: 30_000 }),
    per_host: integer(2, { doc: 'Connections to one image server at a time.', unit: 'connections', min: 1, max: 64 }),
    allow_private: flag(false, {
      doc: 'Fetch from private and loopback addresses too. Only where every publisher may be trusted with your network: an item’s image URL is theirs to choose.',
    }),
  }),
  model: section('The text encoder.', {
    name: text(null, {
      doc: 'Name of a model that ships or was pulled; `entrepot model ls` lists them, `entrepot model pull` gets more. Unset means the first one that ships. Vectors of two models do not compare: with another one everything is embedded anew.',
      example: 'all-MiniLM-L6-v2',
      pattern: { expression: /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/u, says: 'letters, digits, dot, underscore and hyphen' },
    }),
    folder: text(null, {
      doc: 'Folder of a model (ONNX weights, tokenizer and model card), in place of a name.',
      example: '/models/multilingual-e5-small',
    }),
    store: text('.entrepot/models', {
      doc: 'Where `entrepot model pull` puts models, a folder each. It lies in the data folder because that is the one place which is kept and may be written; processes of several data folders can share another.',
      example: '/var/lib/entrepot/models',
      derived: { says: '`models` in data.folder', from: (given) => `${String(given('data.folder'))}/models` },
    }),
    digest: text(null, {
      doc: 'SHA-256 of the encoder (`entrepot model ls`), where its folder is not trusted to pin itself; models that ship have their own.',
      pattern: { expression: /^[0-9a-f]{64}$/u, says: '64 lower-case hexadecimal digits' },
    }),
    workers: integer(null, {
      doc: 'Worker threads, one session each; unset means one per core, less one for everything else.',
      unit: 'threads',
      min: 1,
      max: 256,
    }),
    intra_op_threads: integer(1, {
      doc: 'Threads inside each session. More sessions scale better than more threads in one; more than 1 is for a lone text that must be quick.',
      unit: 'threads',
      min: 1,
      max: 256,
    }),
    batch_tokens_max: integer(null, {
      doc: 'Token budget of one inference call, padding included; unset means by provider: 768 on a CPU, 65,536 on a device.',
      unit: 'tokens',
      min: 128,
      max: 1_048_576,
    }),
    batch_wait_ms: integer(2, {
      doc: 'Longest wait of a text for company while one thread idles and another computes. A lone text waits for nothing; under load texts are gathered anyway.',
      unit: 'ms',
      min: 0,
      max: 1_000,
    }),
    next: text(null, {
      doc: 'Name or folder of a model that is to take over: `entrepot run` re-embeds the catalogue with it beside the live one, and switches when everything is there. Set it in every process; afterwards either setting may name the live model.',
      example: '/models/multilingual-e5-small',
    }),
    reembed_share: number(0.25, {
      doc: 'Share of one core that re-embedding for model.next may take; one worker thread, at most this part of the time.',
      unit: 'cores',
      min: 0.01,
      max: 1,
    }),
    memory_bytes_max: integer(64 * mib, {
      doc: 'Vectors of texts that any partition asked for lately, kept in memory so that the same text of another shop is not computed again. About 1.9 KB a text of 384 dimensions; 0 keeps none.',
      unit: 'bytes',
      min: 0,
      max: 16 * 1024 * mib,
    }),
    forgotten_max: integer(10_000, {
      doc: 'Vectors that the state keeps, per partition, of texts that no listing has any more, so that a listing that is put up again is not embedded again; those left longest ago go first.',
      unit: 'texts',
      min: 0,
      max: 10_000_000,
    }),
    providers: list(['cpu'], {
      doc: 'Execution providers of ONNX Runtime, in order of preference: what cannot be had here is passed over, and doctor, log and metric say so.',
      allowed: ['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'],
      example: 'cuda,cpu',
    }),
    device: integer(0, {
      doc: 'Number of the device, for cuda, tensorrt and dml on a machine with several.',
      min: 0,
      max: 63,
    }),
    tensorrt_cache_folder: text(null, {
      doc: 'Where TensorRT keeps the engines it builds, which takes minutes at the start and again whenever a batch is smaller or larger than all before; unset means nowhere. cuda builds none. Handed over as ORT_TENSORRT_CACHE_PATH, because the Node binding passes TensorRT nothing but its device.',
      example: '/data/tensorrt',
    }),
    tensorrt_fp16: flag(false, {
      doc: 'Let TensorRT compute a float32 graph in float16 (ORT_TENSORRT_FP16_ENABLE); a graph that is float16 already needs no such thing.',
    }),
  }),
  platforms: section('The shops, as data: a folder of maps and what a map cannot know.', {
    folder: text(null, {
      doc: 'A folder of platform maps of your own, beside the ones that ship; a map of the same name replaces the shipped one.',
      example: './platforms',
    }),
    enabled: list([], {
      doc: 'Platforms to read, by map name; empty means every map that is found.',
      example: 'shopify,ga4',
    }),
    shops: shops({
      doc: 'What payloads leave out, by `<platform>`, or `<platform>/<shop>` for one of several shops: `currency` (ISO 4217), `market` (ISO 3166), `time_zone` (IANA), `merchant_id`, `language` (BCP 47), `user_realm` (platforms of one realm share their users), and whatever a map asks for; `entrepot explain-map` lists it.',
      example: '{ shopify: { currency: EUR, market: DE, time_zone: Europe/Berlin, merchant_id: shop-1 } }',
    }),
  }),
  identity: section('Users become keyed pseudonyms at the edge; raw ids never pass it.', {
    secret: secret({
      doc: 'Key of the HMAC, at least 32 bytes of text. Whoever has it can test guesses of user ids. Needed by the canonicalize stage in servers mode; in embedded mode one is made in the data folder when it is unset.',
    }),
    key_version: text('k1', {
      doc: 'Version of the key, the first part of each pseudonym; change it whenever the key changes.',
      pattern: { expression: /^[a-z0-9]{1,8}$/u, says: '1 to 8 lower-case letters and digits' },
    }),
  }),
  canonicalize: section('From what shops publish to one vocabulary.', {
    dedupe_horizon_days: number(7, {
      doc: 'An event id that comes again within this time is dropped as a duplicate; later it may count twice.',
      unit: 'days',
      min: 0,
      max: 90,
    }),
    dedupe_ids_max: integer(10_000_000, {
      doc: 'Most event ids kept per input partition; beyond it the oldest go first. One costs about 100 bytes of state.',
      unit: 'ids',
      min: 1_000,
      max: 100_000_000,
    }),
    late_after_days: number(30, {
      doc: 'An interaction that comes more than this behind its event time is dropped as `late`. 0 keeps all, for replays of history.',
      unit: 'days',
      min: 0,
      max: 3_650,
    }),
    reference_currency: text('EUR', {
      doc: 'Prices are also given in this currency, for comparison across shops.',
      pattern: { expression: /^[A-Z]{3}$/u, says: 'an ISO 4217 code' },
    }),
    rates: numbers(
      {},
      {
        doc: 'Units of the reference currency for one unit of another. A currency without a rate keeps its own price only.',
        example: '{ USD: 0.92, GBP: 1.17, CNY: 0.127 }',
        min: Number.MIN_VALUE,
        pattern: { expression: /^[A-Z]{3}$/u, says: 'ISO 4217 codes' },
      },
    ),
    rates_as_of: text(null, {
      doc: 'The day the rates are of; kept in each converted price.',
      example: '2026-11-01',
      pattern: { expression: /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/u, says: 'a day, YYYY-MM-DD' },
    }),
  }),
  learn: section('From interactions to profiles.', {
    half_life_days: number(14, {
      doc: 'After this time an interaction counts half in the preference vector.',
      unit: 'days',
      min: 0.01,
      max: 3_650,
    }),
    session_half_life_minutes: number(10, {
      doc: 'The same for the session vector.',
      unit: 'minutes',
      min: 0.1,
      max: 1_440,
    }),
    session_gap_minutes: number(30, {
      doc: 'A pause longer than this begins a new session.',
      unit: 'minutes',
      min: 1,
      max: 1_440,
    }),
    join_wait_minutes: number(10, {
      doc: 'How long an interaction waits for its item to be indexed before it is dead-lettered as `join.missing`.',
      unit: 'minutes',
      min: 0,
      max: 10_080,
    }),
    join_waiting_max: integer(100_000, {
      doc: 'Most interactions that wait per partition; beyond it the oldest go first.',
      unit: 'records',
      min: 0,
      max: 10_000_000,
    }),
    weights: numbers(
      {
        VIEW: 1,
        CLICK: 1.5,
        ADD_TO_CART: 4,
        REMOVE_FROM_CART: -2,
        WISHLIST: 3,
        CHECKOUT: 4,
        PURCHASE: 8,
        REFUND: -6,
        RATE: 8,
        REVIEW: 8,
        SHARE: 2,
        DISMISS: -4,
      },
      {
        doc: 'What an interaction of each type adds; a type without weight teaches nothing, given keys replace the default’s. RATE and REVIEW are scaled by the rating, from -1 at 0 to 1 at 1.',
        example: '{ PURCHASE: 10, DISMISS: -6 }',
        keys: interaction_types,
        min: -100,
        max: 100,
      },
    ),
  }),
  recommend: section('From profiles to lists.', {
    session_share: number(0.5, {
      doc: 'Share of the session vector in the score; the preference vector has the rest.',
      min: 0,
      max: 1,
    }),
    count: integer(10, { doc: 'Items in a list.', unit: 'items', min: 1, max: 100 }),
    candidates: integer(30, {
      doc: 'Candidates retrieved for each vector; each one costs a look-up of its vector.',
      unit: 'items',
      min: 10,
      max: 2_000,
    }),
    debounce_ms: integer(0, {
      doc: 'A profile’s moves within this time lead to one list. The greater of it and stages.recommend.linger_ms counts; raise it to spare the index.',
      unit: 'ms',
      min: 0,
      max: 10_000,
    }),
    evidence_max: integer(10, {
      doc: 'Recent and bought items looked up as evidence for the reasons, each at most.',
      unit: 'items',
      min: 1,
      max: 50,
    }),
    placement: text('home', {
      doc: 'The placement that the lists are for.',
      pattern: { expression: /^[a-z][a-z0-9_]{0,31}$/u, says: 'a lower-case word' },
    }),
    expires_minutes: integer(1_440, { doc: 'How long a list may be shown.', unit: 'minutes', min: 1, max: 525_600 }),
  }),
  stages: section('Batch bounds by stage: the click path small, the catalogue path large.', {
    canonicalize: bounds('canonicalize', 500, 10),
    embed: bounds('embed', 256, 50),
    index: bounds('index', 500, 50, 16 * mib),
    learn: bounds('learn', 500, 10),
    recommend: bounds('recommend', 200, 10),
  }),
  limits: section('What bounds the process, and when it gives up loudly.', {
    in_flight_records_max: integer(10_000, {
      doc: 'Records being processed at once, over all stages.',
      unit: 'records',
      min: 1,
      max: 1_000_000,
    }),
    in_flight_bytes_max: integer(64 * mib, { doc: 'Bytes being processed at once.', unit: 'bytes', min: mib, max: 4_096 * mib }),
    progress_timeout_s: integer(120, {
      doc: 'Without progress for this long while records wait and no pause is declared, the process exits with 70.',
      unit: 's',
      min: 5,
      max: 3_600,
    }),
    drain_s: integer(20, { doc: 'How long SIGTERM waits for batches in flight.', unit: 's', min: 1, max: 300 }),
    backoff_first_ms: integer(100, {
      doc: 'First wait after a transient fault; it doubles from there.',
      unit: 'ms',
      min: 1,
      max: 60_000,
    }),
    backoff_max_ms: integer(10_000, { doc: 'Longest wait after a transient fault.', unit: 'ms', min: 10, max: 600_000 }),
    dead_letters_in_row_max: integer(1_000, {
      doc: 'So many dead letters in a row pause the partition, lest a bad deploy drain a topic into the dead letters.',
      unit: 'records',
      min: 1,
      max: 1_000_000,
    }),
  }),
  http: section('Health, metrics and the API.', {
    enabled: flag(true, { doc: 'Serve HTTP while running.' }),
    host: text('127.0.0.1', {
      doc: 'Address to bind. Anything but loopback needs http.insecure, for there is no authentication yet.',
    }),
    port: integer(8088, { doc: 'Port to bind; 0 takes any free one.', min: 0, max: 65_535, env: ['PORT'] }),
    insecure: flag(false, {
      doc: 'Allow a bind beyond loopback without authentication. Only inside a network you trust, or behind a proxy that authenticates.',
    }),
  }),
  log: section('Logs: JSON lines on stderr, without payloads.', {
    level: choice(['debug', 'info', 'warn', 'error', 'silent'], 'info', {
      doc: 'Least level that is written.',
      env: ['LOG_LEVEL'],
    }),
  }),
  topics: section('Our own topics; the platforms’ are theirs.', {
    partitions: integer(6, {
      doc: 'Partitions of each topic when it is created. Never changed in place: another number moves keys.',
      unit: 'partitions',
      min: 1,
      max: 1_000,
      derived: {
        says: '1 in embedded mode, where one process does everything; 6 with servers',
        from: (given) => (given('mode') === 'embedded' ? 1 : 6),
      },
    }),
    prefix: text('', {
      doc: 'Prefix of our topics’ names, to share a cluster.',
      example: 'staging.',
      pattern: { expression: /^[a-zA-Z0-9._-]{0,60}$/u, says: 'letters, digits, dot, underscore and hyphen' },
    }),
    replication_factor: integer(null, {
      doc: 'Copies of each partition; unset means the broker’s default.',
      unit: 'copies',
      min: 1,
      max: 7,
    }),
  }),
})

/** The values a tree of settings has, as a type. */
export type ValuesOf<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends Setting<infer T> ? T : F[K] extends Section<infer G> ? ValuesOf<G> : never
}

/** All settings as loaded: deeply read-only, every value checked. */
export type Settings = ValuesOf<(typeof spec)['fields']>

/** The range of a number with its unit, for messages and docs: `1 to 100 items`. Empty without bounds. */
export const rangeText = ({ min, max, unit }: Setting<unknown>): string => {
  if (min === undefined && max === undefined) return ''
  const range = max === undefined ? (min === Number.MIN_VALUE ? 'more than 0' : `at least ${min}`) : `${min} to ${max}`
  return unit === undefined ? range : `${range} ${unit}`
}

export type NamedSetting = {
  /** Dotted path, e.g. `kafka.sasl.password`. */
  readonly name: string
  readonly path: readonly string[]
  readonly setting: Setting<unknown>
  /** `ENTREPOT_KAFKA_SASL_PASSWORD`, then the habitual names. */
  readonly env: readonly string[]
}

export const isSection = (field: Setting<unknown> | Section): field is Section => 'section' in field

const flatten = (fields: Fields, path: readonly string[]): readonly NamedSetting[] =>
  Object.entries(fields).flatMap(([key, field]) => {
    const here = [...path, key]
    if (isSection(field)) return flatten(field.fields, here)
    return [
      {
        name: here.join('.'),
        path: here,
        setting: field,
        env: [`ENTREPOT_${here.join('_').toUpperCase()}`, ...(field.env ?? [])],
      },
    ]
  })

/** Every setting in the order of the spec. */
export const all_settings: readonly NamedSetting[] = flatten(spec.fields, [])

export type CrossCheck = {
  readonly name: string
  readonly holds: (settings: Settings) => boolean
  /** Follows the name in the message. */
  readonly says: string
  /** Start all the same, with a warning. */
  readonly warns?: boolean
}

/** What must hold between settings; each names the setting to change. */
export const cross_checks: readonly CrossCheck[] = [
  {
    name: 'model.name',
    holds: ({ model }) => model.name === null || model.folder === null,
    says: 'and model.folder exclude each other: unset one',
  },
  {
    name: 'kafka.brokers',
    holds: (settings) => settings.mode === 'embedded' || settings.kafka.brokers.length > 0,
    says: 'is needed in servers mode: set KAFKA_BROKERS, or mode to embedded',
  },
  {
    name: 'registry.url',
    holds: (settings) => settings.mode === 'embedded' || settings.registry.url !== null,
    says: 'is needed in servers mode: set SCHEMA_REGISTRY_URL',
  },
  {
    name: 'identity.secret',
    holds: (settings) => settings.identity.secret === null || settings.identity.secret.reveal().length >= 32,
    says: 'is shorter than 32 characters: make one with `openssl rand -base64 48`',
  },
  {
    name: 'kafka.sasl.username',
    holds: ({ kafka: { sasl } }) => sasl.mechanism === null || (sasl.username !== null && sasl.password !== null),
    says: 'and kafka.sasl.password are needed with kafka.sasl.mechanism',
  },
  {
    name: 'kafka.ssl.key',
    holds: ({ kafka: { ssl } }) => (ssl.cert_file === null) === (ssl.key === null),
    says: 'and kafka.ssl.cert_file belong together: set both or none',
  },
  {
    name: 'kafka.sasl.mechanism',
    holds: ({ kafka: { sasl, ssl } }) => sasl.mechanism !== 'plain' || ssl.enabled,
    says: 'plain without kafka.ssl.enabled sends the password in clear: switch TLS on, or use scram-sha-512',
    warns: true,
  },
  {
    name: 'kafka.rebalance_timeout_ms',
    holds: (settings) => settings.kafka.rebalance_timeout_ms > settings.limits.drain_s * 1_000,
    says: 'must be more than limits.drain_s, or a rebalance cuts off what is being drained',
  },
  {
    name: 'limits.backoff_max_ms',
    holds: ({ limits }) => limits.backoff_max_ms >= limits.backoff_first_ms,
    says: 'must be at least limits.backoff_first_ms',
  },
]
