/**
 * Every metric there is, declared once as a value: exporter, typed handles, docs/reference/metrics.md, dashboard and alert checks
 * are printed from or held against it. Add a metric here, then use it; nothing else.
 */
import { type FaultKind, fault_codes } from '../domain/fault.ts'

/** The values that a label may take; any other value is folded to `other`, so that input can never grow the series. */
export type LabelSpec = {
  readonly means: string
  /** A closed list; or the name of a list that the composition declares at start, from topology and settings; or partition numbers. */
  readonly values: readonly string[] | { readonly declared: DeclaredList } | 'partitions'
}

export type DeclaredList = 'stages' | 'topics' | 'groups' | 'drop_reasons' | 'placements' | 'versions'

export type MetricSpec = {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly unit: string
  readonly labels: Readonly<Record<string, LabelSpec>>
  readonly help: string
  /** What to look at when it is bad. */
  readonly when_bad: string
  /** Upper bounds, of histograms. */
  readonly buckets?: readonly number[]
}

/** The label value that stands for everything outside the list. */
export const other = 'other'
/** Most different values of one label (partitions aside); strict telemetry throws beyond it, as tests want. */
export const label_values_max = 100
/** Partition numbers from 0 to this are told apart. */
export const partition_max = 1_023

const codesOf = (...kinds: readonly FaultKind[]): readonly string[] =>
  Object.entries(fault_codes).flatMap(([code, { kind }]) => (kinds.includes(kind) ? [code] : []))

const stage: LabelSpec = { means: 'the processor', values: { declared: 'stages' } }
const topic: LabelSpec = { means: 'the topic', values: { declared: 'topics' } }
const group: LabelSpec = { means: 'the consumer group', values: { declared: 'groups' } }
const space: LabelSpec = { means: 'named vector space', values: ['items', 'users', 'images'] }
const partition: LabelSpec = { means: 'the partition', values: 'partitions' }

const seconds_short = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const seconds_headline = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 30, 60]

export const metrics = {
  entrepot_event_to_recommendation_seconds: {
    kind: 'histogram',
    unit: 'seconds',
    labels: {
      stage: { means: 'what the event had become', values: ['canonicalized', 'embedded', 'indexed', 'learned', 'recommended'] },
    },
    help: 'From an event’s entry into the log to the commit that made it canonical, learned, or part of a recommendation.',
    when_bad:
      'Find the first stage that is slow, then its entrepot_batch_seconds by step and its lag. Lag that grows means too little throughput; time without lag means linger_ms or a slow dependency.',
    buckets: seconds_headline,
  },
  entrepot_records_consumed_total: {
    kind: 'counter',
    unit: 'records',
    labels: { stage, topic },
    help: 'Input records whose batch was committed.',
    when_bad: 'Standing still while lag grows: see entrepot_paused, then the log for `stopped`.',
  },
  entrepot_records_emitted_total: {
    kind: 'counter',
    unit: 'records',
    labels: { stage, topic },
    help: 'Output records committed, by the topic they went to.',
    when_bad: 'Consumed without emitted: see entrepot_records_dropped_total and entrepot_dead_letters_total by reason.',
  },
  entrepot_records_dropped_total: {
    kind: 'counter',
    unit: 'records',
    labels: { stage, reason: { means: 'why the processor left it out', values: { declared: 'drop_reasons' } } },
    help: 'Input records that led to no output, for a reason the processor declares.',
    when_bad: 'A reason that jumps is a change at a platform or in a map: `entrepot explain-map <platform>` shows the rules.',
  },
  entrepot_dead_letters_total: {
    kind: 'counter',
    unit: 'records',
    labels: { stage, reason: { means: 'code of docs/reference/errors.md', values: codesOf('malformed') } },
    help: 'Records that can never succeed, written to the dead letters with their bytes.',
    when_bad: '`entrepot dlq ls` groups them, `entrepot dlq show` names field and remedy; after the fix, `entrepot dlq replay`.',
  },
  entrepot_duplicates_total: {
    kind: 'counter',
    unit: 'records',
    labels: { stage },
    help: 'Events dropped because their id was seen within the horizon.',
    when_bad: 'A platform sends again and again: its webhook acknowledgement or its producer’s retries.',
  },
  entrepot_consumer_lag_records: {
    kind: 'gauge',
    unit: 'records',
    labels: { group, topic, partition },
    help: 'Records between the committed position and the end of the partition.',
    when_bad: 'One partition: a hot key or a pause. All: too little throughput; start more processes, up to one per partition.',
  },
  entrepot_consumer_lag_seconds: {
    kind: 'gauge',
    unit: 'seconds',
    labels: { group, topic, partition },
    help: 'Age of the oldest record that is not yet committed; 0 without lag.',
    when_bad: 'As entrepot_consumer_lag_records; this is the one that people feel.',
  },
  entrepot_batch_seconds: {
    kind: 'histogram',
    unit: 'seconds',
    labels: { stage, step: { means: 'step of the batch', values: ['poll', 'decode', 'run', 'index', 'encode', 'commit'] } },
    help: 'Time of each step of a batch.',
    when_bad:
      'decode: the registry. run: the processor, or what it reads (embedder, index). index: the vector index. commit: the brokers or the disk.',
    buckets: seconds_short,
  },
  entrepot_batch_records: {
    kind: 'histogram',
    unit: 'records',
    labels: { stage },
    help: 'Records in a batch.',
    when_bad: 'Always 1 under load: linger_ms is too short. Always at records_max: the stage is behind.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000],
  },
  entrepot_embedding_seconds: {
    kind: 'histogram',
    unit: 'seconds',
    labels: {},
    help: 'Time of one call to the text encoder.',
    when_bad: 'Long with few texts: too few cores for model.workers. Long with many: lower stages.embed.records_max.',
    buckets: seconds_short,
  },
  entrepot_embedding_texts_total: {
    kind: 'counter',
    unit: 'texts',
    labels: { outcome: { means: 'what the encoder made of the text', values: ['vector', 'empty', 'degenerate'] } },
    help: 'Texts that the encoder was given, by what became of them.',
    when_bad:
      'empty: nothing was left of a text once it was split into tokens; a map puts signs for words. degenerate: the model gave a zero or not finite vector; see the dead letters.',
  },
  entrepot_embedding_truncated_total: {
    kind: 'counter',
    unit: 'texts',
    labels: {},
    help: 'Texts that had more tokens than the model takes: what stood beyond is in no vector.',
    when_bad: 'Many: take a model with a greater tokens_max, or let the maps bring shorter descriptions.',
  },
  entrepot_embedding_tokens_total: {
    kind: 'counter',
    unit: 'tokens',
    labels: { kind: { means: 'of texts, or padding beside them in a batch', values: ['text', 'padding'] } },
    help: 'Tokens that the encoder computed.',
    when_bad: 'Padding above a fifth: batches are small or of many lengths; raise model.batch_wait_ms.',
  },
  entrepot_embedding_batches_total: {
    kind: 'counter',
    unit: 'batches',
    labels: {},
    help: 'Calls of the inference engine.',
    when_bad: 'Few tokens a batch under load: raise stages.embed.records_max or model.batch_wait_ms.',
  },
  entrepot_embedding_busy_seconds_total: {
    kind: 'counter',
    unit: 'seconds',
    labels: { step: { means: 'what the time went into', values: ['tokenize', 'infer'] } },
    help: 'Wall time that the threads of the encoder spent at work; its rate is the number of threads that are busy.',
    when_bad: 'Near entrepot_embedding_threads: the encoder is the bottleneck; give more cores or a GPU.',
  },
  entrepot_embedding_queue_texts: {
    kind: 'gauge',
    unit: 'texts',
    labels: {},
    help: 'Texts that were handed to the encoder and are not answered.',
    when_bad: 'Standing high: partitions wait for it and poll no more until it answers; nothing is lost.',
  },
  entrepot_embedding_threads: {
    kind: 'gauge',
    unit: 'threads',
    labels: {},
    help: 'Threads of the encoder that can be given work.',
    when_bad: 'Below model.workers: a thread died and starts again; see entrepot_embedding_crashes_total.',
  },
  entrepot_embedding_crashes_total: {
    kind: 'counter',
    unit: 'threads',
    labels: {},
    help: 'Threads of the encoder that died, or were replaced because they were silent; their texts were tried once more.',
    when_bad: 'Again and again: see `embedder.crashed` in the log; out of memory is the usual cause.',
  },
  entrepot_embedding_provider: {
    kind: 'gauge',
    unit: '1',
    labels: {
      provider: { means: 'what computes', values: ['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'] },
      wanted: { means: 'first of model.providers', values: ['cpu', 'cuda', 'tensorrt', 'webgpu', 'coreml', 'dml'] },
    },
    help: 'Always 1; says which execution provider encodes texts.',
    when_bad: 'provider is not wanted: `entrepot doctor` says why the first choice cannot be had.',
  },
  entrepot_embeddings_total: {
    kind: 'counter',
    unit: 'texts',
    labels: {
      cache: {
        means:
          'where the vector was found: in the partition’s committed state, in the memory of the process (asked for before, by a neighbour in the batch, or being computed just now), or nowhere',
        values: ['state', 'memory', 'miss'],
      },
    },
    help: 'Texts whose vector was needed; only misses were computed.',
    when_bad:
      'Misses of a catalogue that did not change: the recipe’s version or the model’s digest did, and all vectors are being made anew.',
  },
  entrepot_embedding_avoided_seconds_total: {
    kind: 'counter',
    unit: 'seconds',
    labels: {},
    help: 'Encoding that was not done: texts found in state or memory, times the mean wall seconds that the encoder was at work for each text this process computed (calls that overlap count once). Until it has computed 64 nothing is counted; then what was avoided before is added.',
    when_bad: 'It is never bad. Standing still while items arrive: every text is new, or too few were computed for a price.',
  },
  entrepot_embedding_parts_cut_total: {
    kind: 'counter',
    unit: 'parts',
    labels: {
      part: {
        means: 'part of the text; `attributes`: there were more of them than are taken',
        values: ['title', 'attribute', 'attributes', 'bullets', 'description'],
      },
    },
    help: 'Parts of texts to be embedded that the recipe cut because they were longer than their bound, by part; a text counts when it is not in the state.',
    when_bad: 'Many titles: a platform’s map puts descriptions into titles. The rest is as intended.',
  },
  entrepot_model_upgrade_left_records: {
    kind: 'gauge',
    unit: 'records',
    labels: { step: { means: 'the catalogue, or the interactions that profiles are folded from', values: ['items', 'users'] } },
    help: 'Records that the lane of model.next has still to see before it takes over; absent while no model is being prepared.',
    when_bad: 'It does not fall: raise model.reembed_share, or look in the log for `upgrade.failed`.',
  },
  entrepot_profiles_updated_total: {
    kind: 'counter',
    unit: 'profiles',
    labels: {},
    help: 'Profiles written.',
    when_bad: 'Standing still while interactions arrive: their items have no vector yet; see the lag of embed and index.',
  },
  entrepot_recommendations_total: {
    kind: 'counter',
    unit: 'lists',
    labels: { placement: { means: 'where the list is shown', values: { declared: 'placements' } } },
    help: 'Recommendation lists published.',
    when_bad: 'Standing still while profiles move: see drops and pauses of the recommend stage.',
  },
  entrepot_index_points: {
    kind: 'gauge',
    unit: 'points',
    labels: { space },
    help: 'Live points in the vector index, tombstones not counted; set once a minute by the process that verifies it.',
    when_bad: 'Below the number of live items: the index lost writes; `entrepot repair --dry-run` counts them.',
  },
  entrepot_index_drift_total: {
    kind: 'counter',
    unit: 'points',
    labels: {
      space,
      kind: {
        means: 'how the point differs from its topic',
        values: ['missing', 'stale', 'orphan', 'undeleted', 'ahead', 'differs'],
      },
    },
    help: 'Points found to differ from the topics, counted before they are repaired.',
    when_bad:
      'The index lost or undid writes that it had acknowledged: look for a restart, a full disk or a restored snapshot there. `ahead` means that a topic was made anew.',
  },
  entrepot_index_drift_remaining: {
    kind: 'gauge',
    unit: 'points',
    labels: {},
    help: 'Points that the last verification found and left: too many removals at once, or repairs that did not stay.',
    when_bad: '`entrepot repair --dry-run` shows what would be done, `entrepot repair` does it without a bound.',
  },
  entrepot_index_repaired_total: {
    kind: 'counter',
    unit: 'points',
    labels: {},
    help: 'Points put right by a verification.',
    when_bad: 'As entrepot_index_drift_total.',
  },
  entrepot_index_verified_timestamp_seconds: {
    kind: 'gauge',
    unit: 'seconds since 1970',
    labels: {},
    help: 'When the whole index was last compared with the topics.',
    when_bad: 'Longer ago than index.verify_hours: see the log of the process that owns partition 0 of the vectors topic.',
  },
  entrepot_index_verification_seconds: {
    kind: 'histogram',
    unit: 'seconds',
    labels: {},
    help: 'Time of one comparison of the index with the topics.',
    when_bad: 'It grows with the topics; beyond an hour, raise index.verify_hours.',
    buckets: [0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 7_200],
  },
  entrepot_paused: {
    kind: 'gauge',
    unit: 'partitions',
    labels: { stage, reason: { means: 'code of docs/reference/errors.md', values: codesOf('transient', 'misconfigured') } },
    help: 'Partitions that wait, on purpose and declared, until their reason is gone.',
    when_bad: 'The reason names the dependency; nothing is lost, work resumes by itself.',
  },
  entrepot_task_restarts_total: {
    kind: 'counter',
    unit: 'restarts',
    labels: {
      stage,
      kind: {
        means: 'kind of the fault that ended the task',
        values: ['malformed', 'transient', 'fenced', 'corrupt', 'misconfigured', 'defect'] satisfies readonly FaultKind[],
      },
    },
    help: 'Tasks that were ended by a fault and began again from the committed state.',
    when_bad:
      'fenced: rebalances, see the group’s members. corrupt: commits of unknown outcome, see the brokers. defect: a bug; report it.',
  },
  entrepot_in_flight_records: {
    kind: 'gauge',
    unit: 'records',
    labels: {},
    help: 'Records being processed now.',
    when_bad: 'At limits.in_flight_records_max the input waits: some stage is slow.',
  },
  entrepot_in_flight_bytes: {
    kind: 'gauge',
    unit: 'bytes',
    labels: {},
    help: 'Bytes being processed now.',
    when_bad: 'At limits.in_flight_bytes_max the input waits: records are large.',
  },
  entrepot_http_request_seconds: {
    kind: 'histogram',
    unit: 'seconds',
    labels: {
      route: {
        means: 'the matched route, never the path',
        values: ['/metrics', '/healthz', '/readyz', '/version', '/v1/recommendations/:user', 'none'],
      },
      status: { means: 'class of the answer', values: ['2xx', '3xx', '4xx', '5xx'] },
    },
    help: 'Time to answer an HTTP request.',
    when_bad: '5xx on /readyz names a dependency in its body.',
    buckets: seconds_short,
  },
  entrepot_log_lines_suppressed_total: {
    kind: 'counter',
    unit: 'lines',
    labels: {},
    help: 'Log lines left out because their code came more than 100 times in a second, or the log was not read fast enough.',
    when_bad: 'Count by code in entrepot_dead_letters_total or entrepot_task_restarts_total instead.',
  },
  entrepot_build_info: {
    kind: 'gauge',
    unit: '1',
    labels: { version: { means: 'version of Entrepot', values: { declared: 'versions' } } },
    help: 'Always 1; joins the version to other series.',
    when_bad: 'More than one version: a deploy is under way, or stuck.',
  },
} as const satisfies Readonly<Record<string, MetricSpec>>

export type MetricName = keyof typeof metrics
type NamesOf<K extends MetricSpec['kind']> = { [N in MetricName]: (typeof metrics)[N]['kind'] extends K ? N : never }[MetricName]
export type CounterName = NamesOf<'counter'>
export type GaugeName = NamesOf<'gauge'>
export type HistogramName = NamesOf<'histogram'>

/** Exactly the labels of a metric. */
export type LabelsOf<N extends MetricName> = { readonly [L in keyof (typeof metrics)[N]['labels']]: string | number }

/** Typed handles on the catalogue. Cheap, synchronous, never throws (except strict telemetry in tests, on unbounded labels). */
export interface Telemetry {
  /** Adds `n` (1 when left out, at least 0) to a counter. */
  count<N extends CounterName>(name: N, labels: LabelsOf<N>, n?: number): void
  /** Records one value in a histogram, in its unit. */
  observe<N extends HistogramName>(name: N, labels: LabelsOf<N>, value: number): void
  /** Sets a gauge. */
  set<N extends GaugeName>(name: N, labels: LabelsOf<N>, value: number): void
  /** Takes a gauge's series away: a partition that is no longer ours has no lag here. */
  forget<N extends GaugeName>(name: N, labels: LabelsOf<N>): void
}

/** Telemetry that keeps nothing. */
export const no_telemetry: Telemetry = {
  count: () => undefined,
  observe: () => undefined,
  set: () => undefined,
  forget: () => undefined,
}
