import { existsSync } from 'node:fs'
import { test } from '@jest/globals'
import { freePorts } from '../../../scripts/servers/daemon.ts'
import { kafka_version } from '../../../scripts/servers/kafka.ts'
import { eventLogContract } from '../../ports/event-log.contract.ts'
import { openTestLog } from './opened-log.fixture.ts'

/** The laws once more on the project's own image, for those who have Docker. Undefined when an engine answers. */
const whyNoDocker = async (): Promise<string | undefined> => {
  if (process.env['DOCKER_HOST'] === undefined && !existsSync('/var/run/docker.sock')) return 'there is no Docker socket'
  const { getContainerRuntimeClient } = await import('testcontainers')
  return getContainerRuntimeClient().then(
    () => undefined,
    () => 'no Docker engine answers',
  )
}

const startContainer = async (): Promise<{ readonly brokers: string; stop(): Promise<void> }> => {
  const { GenericContainer, Wait } = await import('testcontainers')
  const [port] = await freePorts(1)
  const container = await new GenericContainer(`apache/kafka:${kafka_version}`)
    // The port has to be known before the start: clients are sent to the advertised one.
    .withExposedPorts({ container: 9092, host: port! })
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_LISTENERS: 'PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9093',
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://127.0.0.1:${port}`,
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: '1',
      KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
      KAFKA_LOG_CLEANER_BACKOFF_MS: '200',
      KAFKA_LOG_RETENTION_CHECK_INTERVAL_MS: '86400000',
      KAFKA_LOG_INITIAL_TASK_DELAY_MS: '86400000',
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .withStartupTimeout(180_000)
    .start()
  return {
    brokers: `127.0.0.1:${port}`,
    stop: async () => {
      await container.stop()
    },
  }
}

const missing = await whyNoDocker()
if (missing !== undefined) {
  process.stderr.write(
    `NOT CHECKED event log contract: kafka in Docker (all laws): ${missing}; the same laws run on a native broker.\n`,
  )
  test.skip(`event log contract: kafka in Docker [${missing}]`, () => undefined)
} else
  eventLogContract(
    'kafka in Docker',
    async () => {
      const container = await startContainer()
      const opened = await openTestLog(container.brokers)
      return {
        ...opened,
        close: async () => {
          await opened.close()
          await container.stop()
        },
      }
    },
    { timeout_ms: 200_000 },
  )
