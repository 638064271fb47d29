/**
 * `node scripts/with-servers.ts COMMAND …`: runs a command with KAFKA_BROKERS, SCHEMA_REGISTRY_URL and QDRANT_URL set to real servers,
 * started for it and stopped after it. A variable that is set already is left alone, and its server is used.
 */
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { type Outcome, type ServerName, startServers } from './servers/all.ts'

const suites: Readonly<Record<ServerName, string>> = {
  KAFKA_BROKERS: 'the laws of the log on Kafka, and everything that runs through it',
  SCHEMA_REGISTRY_URL: 'the laws of the schema registry over HTTP',
  QDRANT_URL: 'the laws of the vector index on Qdrant',
}
const names = Object.keys(suites) as ServerName[]
const [command, ...args] = process.argv.slice(2)
if (command === undefined) {
  console.error('Usage: node scripts/with-servers.ts COMMAND [ARGUMENT …]')
  process.exit(64)
}

for (const name of names) if (process.env[name] !== undefined) console.error(`${name} is set: ${process.env[name]} is used`)
const outcomes = await startServers(
  names.filter((name) => process.env[name] === undefined),
  { background: false, progress: (line) => console.error(line) },
)
const stopAll = async (all: readonly Outcome[]) => {
  await Promise.all(all.map(({ running }) => running?.stop()))
}

const missing = outcomes.filter(({ running }) => running === undefined)
for (const { name } of missing) console.error(`NOT RUN without ${name}: ${suites[name]}`)
// A gate that skips what it is there for would be green for nothing. Qdrant has no package to install.
const needed = missing.filter(({ name }) => name !== 'QDRANT_URL')
if (process.env['CI'] === 'true' && needed.length > 0) {
  await stopAll(outcomes)
  process.exit(1)
}

const child = spawn(command, args, {
  stdio: 'inherit',
  env: {
    ...process.env,
    ...Object.fromEntries(outcomes.flatMap(({ name, running }) => (running === undefined ? [] : [[name, running.address]]))),
  },
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal))
const code = await new Promise<number>((resolve) => {
  child.once('error', (error) => {
    console.error(`${command} cannot be started: ${error.message}`)
    resolve(127)
  })
  child.once('exit', (status, signal) => resolve(status ?? 128 + (signal === null ? 0 : constants.signals[signal])))
})
await stopAll(outcomes)
process.exit(code)
