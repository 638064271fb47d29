/** Apicurio Registry from Maven Central, kept in memory, on loopback: speaks the Confluent API. Needs Java 17 and Maven. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, runTool, startDaemon, untilHealthy } from './daemon.ts'
import { cached } from './java.ts'

export const registry_version = '2.6.13.Final'

/** The folder of the registry's jars; fetched on first use (142 MB). */
const registryFolder = (): Promise<string> =>
  cached(`apicurio-${registry_version}`, async (folder) => {
    const artifact = `-Dartifact=io.apicurio:apicurio-registry-app:${registry_version}:tar.gz:all`
    const plugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.6.1'
    // Without transitive=false Maven looks for a parent that Maven Central lacks.
    await runTool('mvn', ['-q', '-B', `${plugin}:get`, '-Dtransitive=false', artifact])
    await runTool('mvn', ['-q', '-B', `${plugin}:copy`, artifact, `-DoutputDirectory=${folder}`])
    const archive = join(folder, `apicurio-registry-app-${registry_version}-all.tar.gz`)
    await runTool('tar', ['-xzf', archive, '-C', folder])
    rmSync(archive)
  })

export type RegistryOptions = {
  readonly port?: number
  /** True: the registry goes on when this process ends. */
  readonly background?: boolean
}

export type RegistryServer = {
  /** Base URL of the Confluent API, for SCHEMA_REGISTRY_URL. */
  readonly url: string
  readonly pid: number
  /** Holds its log; removed by stop(). */
  readonly folder: string
  /** Clean stop. Idempotent. */
  stop(): Promise<void>
}

/** Starts an empty registry; resolves when it answers (about 25 s). */
export const startRegistry = async (options: RegistryOptions = {}): Promise<RegistryServer> => {
  const folder = await registryFolder()
  const jar = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('-runner.jar'))
  if (jar === undefined) throw new Error(`${folder} holds no runner jar: remove the folder and start again.`)
  const port = options.port ?? (await freePorts(1))[0]!
  const logs = mkdtempSync(join(tmpdir(), 'entrepot-registry-'))
  const log_file = join(logs, 'registry.log')
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`
  const daemon = startDaemon({
    command: 'java',
    args: [
      '-Xmx384m',
      '-XX:TieredStopAtLevel=1',
      '-XX:+UseSerialGC',
      '-Dquarkus.http.host=127.0.0.1',
      `-Dquarkus.http.port=${port}`,
      '-Dquarkus.log.level=WARN',
      '-jar',
      join(folder, jar),
    ],
    log_file,
    cwd: logs,
    ...(options.background === true ? { background: true } : {}),
  })
  const stop = async () => {
    await daemon.stop()
    rmSync(logs, { recursive: true, force: true })
  }
  try {
    await untilHealthy('Apicurio Registry', daemon, log_file, 150_000, async () => (await fetch(`${url}/subjects`)).ok)
  } catch (error) {
    await stop()
    throw error
  }
  return { url, pid: daemon.pid, folder: logs, stop }
}
