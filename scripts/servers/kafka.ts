/** Apache Kafka in KRaft mode from Maven Central's jars, on loopback, without Docker. Needs Java 17 and Maven. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kafka, logLevel } from 'kafkajs'
// For its repairs of kafkajs.
import '../../processors/adapters/kafka/inside.ts'
import { type Daemon, freePorts, runTool, startDaemon, untilHealthy } from './daemon.ts'
import { cached } from './java.ts'

export const kafka_version = '4.1.0'
/** The binding for slf4j 1.x, which Kafka brings; log4j-slf4j2-impl beside it makes brokers log nothing. */
const log4j_version = '2.24.3'

const pom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>entrepot</groupId><artifactId>kafka-jars</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafka_version}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>${log4j_version}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>${log4j_version}</version></dependency>
  </dependencies>
</project>
`

const log4j = `status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
`

/** The folder of Kafka's jars; fetched on first use (about 15 s, 43 MB). */
export const kafkaJars = (): Promise<string> =>
  cached(`kafka-${kafka_version}`, async (folder) => {
    writeFileSync(join(folder, 'pom.xml'), pom)
    writeFileSync(join(folder, 'log4j2.properties'), log4j)
    await runTool('mvn', ['-q', '-B', 'dependency:copy-dependencies', '-DoutputDirectory=jars', '-DincludeScope=runtime'], folder)
  })

export type KafkaOptions = {
  readonly brokers?: 1 | 3
  /** Port of the first broker; the others take free ones. */
  readonly port?: number
  /** Kept at stop() when given; else a temporary folder that stop() removes. */
  readonly data_dir?: string
  /** `quick` compiles little and starts fast; `full` is for measurements. */
  readonly jit?: 'quick' | 'full'
  readonly heap_mb?: number
  /** Broker settings over the ones below. */
  readonly settings?: Readonly<Record<string, string>>
  /** True: the brokers go on when this process ends. */
  readonly background?: boolean
}

export type KafkaServer = {
  /** Comma separated host:port, for KAFKA_BROKERS. */
  readonly brokers: string
  readonly data_dir: string
  pids(): readonly number[]
  /** Clean stop of all brokers; removes a temporary data folder. Idempotent. */
  stop(): Promise<void>
  /** Clean stop of one broker, by index; its data stays. */
  stopOne(broker: number): Promise<void>
  /** SIGKILL of one broker (by index) or all. */
  kill9(broker?: number): Promise<void>
  /** Starts the brokers that are down, on their ports and data. */
  restart(): Promise<void>
}

const settingsOf = (
  node: number,
  nodes: readonly { readonly port: number; readonly controller: number }[],
  folder: string,
  more: Readonly<Record<string, string>>,
): string => {
  const replicas = String(nodes.length)
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(node + 1),
    'controller.quorum.voters': nodes.map((each, index) => `${index + 1}@127.0.0.1:${each.controller}`).join(','),
    listeners: `PLAINTEXT://127.0.0.1:${nodes[node]!.port},CONTROLLER://127.0.0.1:${nodes[node]!.controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${nodes[node]!.port}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(folder, 'log'),
    'auto.create.topics.enable': 'false',
    'default.replication.factor': replicas,
    'min.insync.replicas': nodes.length === 1 ? '1' : '2',
    'offsets.topic.num.partitions': '5',
    'offsets.topic.replication.factor': replicas,
    'transaction.state.log.num.partitions': '5',
    'transaction.state.log.replication.factor': replicas,
    'transaction.state.log.min.isr': nodes.length === 1 ? '1' : '2',
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '500',
    'num.network.threads': '2',
    'num.io.threads': '4',
    'log.cleaner.threads': '1',
    'log.cleaner.dedupe.buffer.size': '8388608',
    'log.segment.delete.delay.ms': '1000',
    'log.cleaner.backoff.ms': '200',
    // Tests write records of long ago; retention must not find them.
    'log.retention.check.interval.ms': '86400000',
    'log.initial.task.delay.ms': '86400000',
    ...more,
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

/** Starts one broker, or three that replicate to each other; resolves when all of them answer an admin client. */
export const startKafka = async (options: KafkaOptions = {}): Promise<KafkaServer> => {
  const jars = await kafkaJars()
  const count = options.brokers ?? 1
  const data_dir = options.data_dir ?? mkdtempSync(join(tmpdir(), 'entrepot-kafka-'))
  const free = await freePorts(2 * count)
  const nodes = Array.from({ length: count }, (_, index) => ({
    port: index === 0 && options.port !== undefined ? options.port : free[2 * index]!,
    controller: free[2 * index + 1]!,
  }))
  const brokers = nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')
  const java = [
    `-Xmx${options.heap_mb ?? 384}m`,
    '-Xms128m',
    '-Djava.awt.headless=true',
    `-Dlog4j2.configurationFile=${join(jars, 'log4j2.properties')}`,
  ]
  if (options.jit !== 'full') java.push('-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC')
  const classpath = ['-cp', join(jars, 'jars', '*')]
  const folders = nodes.map((_, index) => join(data_dir, `broker-${index + 1}`))
  const cluster_id = randomBytes(16).toString('base64url')

  await Promise.all(
    folders.map(async (folder, index) => {
      mkdirSync(folder, { recursive: true })
      const properties = join(folder, 'server.properties')
      writeFileSync(properties, settingsOf(index, nodes, folder, options.settings ?? {}))
      if (readdirSync(folder).includes('log')) return
      await runTool('java', [
        ...java,
        ...classpath,
        'kafka.tools.StorageTool',
        'format',
        `--cluster-id=${cluster_id}`,
        '-c',
        properties,
      ])
    }),
  )

  const daemons: (Daemon | undefined)[] = nodes.map(() => undefined)
  const start = async () => {
    const started = nodes.flatMap((node, index) => {
      if (daemons[index]?.alive() === true) return []
      const folder = folders[index]!
      const log_file = join(folder, 'kafka.log')
      const daemon = startDaemon({
        command: 'java',
        args: [...java, ...classpath, 'kafka.Kafka', join(folder, 'server.properties')],
        log_file,
        cwd: folder,
        ...(options.background === true ? { background: true } : {}),
      })
      daemons[index] = daemon
      return [{ daemon, log_file, port: node.port }]
    })
    await Promise.all(
      started.map(({ daemon, log_file, port }) =>
        untilHealthy('Kafka', daemon, log_file, 90_000, async () => {
          const admin = new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING, retry: { retries: 0 } }).admin()
          try {
            await admin.connect()
            return (await admin.describeCluster()).brokers.length === count
          } finally {
            await admin.disconnect()
          }
        }),
      ),
    )
  }
  const stop = async () => {
    await Promise.all(daemons.map((daemon) => daemon?.stop()))
    if (options.data_dir === undefined) rmSync(data_dir, { recursive: true, force: true })
  }
  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    brokers,
    data_dir,
    pids: () => daemons.flatMap((daemon) => (daemon?.alive() === true ? [daemon.pid] : [])),
    stop,
    stopOne: async (broker) => daemons[broker]?.stop(),
    kill9: async (broker) => {
      await Promise.all(daemons.map((daemon, index) => (broker === undefined || broker === index ? daemon?.kill9() : undefined)))
    },
    restart: start,
  }
}
