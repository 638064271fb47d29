/** `node scripts/servers.ts up|down|status`: real servers in the background for a developer, without Docker. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type ServerName, startServers } from './servers/all.ts'
import { stopPid } from './servers/daemon.ts'
import { cache_folder } from './servers/java.ts'

type Kept = {
  readonly name: ServerName
  readonly title: string
  readonly address: string
  readonly pids: readonly number[]
  readonly folders: readonly string[]
}

const state_file = join(cache_folder, 'running.json')
const names: readonly ServerName[] = ['KAFKA_BROKERS', 'SCHEMA_REGISTRY_URL', 'QDRANT_URL']

const kept = (): readonly Kept[] => (existsSync(state_file) ? (JSON.parse(readFileSync(state_file, 'utf8')) as Kept[]) : [])
const keep = (servers: readonly Kept[]) => {
  mkdirSync(dirname(state_file), { recursive: true })
  writeFileSync(state_file, JSON.stringify(servers, null, 2))
}
const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
const runs = (server: Kept) => server.pids.every(isAlive)
const printEnv = (servers: readonly Kept[]) => {
  for (const { name, address } of servers) console.log(`export ${name}=${address}`)
}

const up = async () => {
  const there = kept().filter(runs)
  const missing = names.filter((name) => !there.some((server) => server.name === name))
  const outcomes = await startServers(missing, { background: true, progress: (line) => console.error(line) })
  const servers = [
    ...there,
    ...outcomes.flatMap(({ name, title, running }): Kept[] =>
      running === undefined ? [] : [{ name, title, address: running.address, pids: running.pids, folders: running.folders }],
    ),
  ]
  keep(servers)
  printEnv(servers)
  console.error('Stop them with: npm run servers down')
}

const down = async () => {
  for (const { title, pids, folders } of kept()) {
    await Promise.all(pids.map(stopPid))
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
    console.error(`${title}: stopped`)
  }
  rmSync(state_file, { force: true })
}

const status = () => {
  const servers = kept()
  if (servers.length === 0) console.error('No servers were started here. Start them with: npm run servers up')
  for (const server of servers)
    console.error(`${server.title}: ${runs(server) ? `runs, pid ${server.pids.join(', ')}` : 'has ended'}`)
  printEnv(servers.filter(runs))
}

const commands: Readonly<Record<string, () => Promise<void> | void>> = { up, down, status }
const command = commands[process.argv[2] ?? '']
if (command === undefined) {
  console.error('Usage: node scripts/servers.ts up|down|status')
  process.exit(64)
}
await command()
// Connections that looked whether the servers answer may linger; the servers themselves go on.
process.exit()
