import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from '@jest/globals'
import { parse } from 'yaml'
import { loadSettings } from '../processors/config/load.ts'
import { type MetricSpec, metrics } from '../processors/telemetry/metrics.ts'
import { openTelemetry } from '../processors/telemetry/prometheus.ts'
import { dashboard } from './grafana/dashboard.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

type Service = {
  readonly image?: string
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string | number>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly security_opt?: readonly string[]
  readonly privileged?: boolean
  readonly profiles?: readonly string[]
  readonly networks?: Readonly<Record<string, { readonly aliases: readonly string[] }>>
  readonly deploy?: { readonly resources: { readonly reservations: { readonly devices: readonly unknown[] } } }
}
type Compose = { readonly services: Readonly<Record<string, Service>>; readonly volumes: Readonly<Record<string, unknown>> }

const compose_text = read('docker-compose.yml')
const compose = parse(compose_text, { merge: true }) as Compose
const services = Object.entries(compose.services)
const own = services.filter(([, { image }]) => image?.startsWith('entrepot:'))
const roles = own.filter(([name]) => name !== 'init')

/** `${NAME:-default}` as compose replaces it. */
const filled = (text: string): string => text.replace(/\$\{[A-Z_]+:-([^}]*)\}/gu, '$1')

/** The stages that the processors declare. */
const stages = globSync('processors/*/processor.ts', { cwd: root }).flatMap((path) =>
  [...read(path).matchAll(/^ {2,4}name: '([a-z-]+)',$/gmu)].map((match) => match[1]!),
)

describe('docker-compose.yml', () => {
  test('brings up the servers, the roles from one image, and what watches them', () => {
    expect(services.map(([name]) => name).sort()).toEqual(
      [
        'kafka',
        'schema-registry',
        'qdrant',
        'init',
        'canonicalizer',
        'embedder',
        'embedder-gpu',
        'indexer',
        'learner',
        'recommender',
        'prometheus',
        'grafana',
      ].sort(),
    )
    expect(new Set(own.map(([, { image }]) => image)).size).toBe(1)
  })

  test('on a GPU the embedder is the same role by a profile of its own, with a device, scraped under the same name', () => {
    const { embedder, 'embedder-gpu': on_gpu } = compose.services
    expect(on_gpu).toMatchObject({
      profiles: ['gpu'],
      command: embedder!.command,
      depends_on: embedder!.depends_on,
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      networks: { default: { aliases: ['embedder'] } },
      deploy: { resources: { reservations: { devices: [{ driver: 'nvidia', count: 1, capabilities: ['gpu'] }] } } },
    })
    expect(existsSync(join(root, on_gpu!.build!.dockerfile))).toBe(true)
    const env = Object.fromEntries(
      Object.entries(on_gpu!.environment!).map(([key, value]) => [key, filled(String(value))] as const),
    )
    const { settings } = loadSettings({ env: { ...env, ENTREPOT_CONFIG: join(root, 'deploy/entrepot.yaml') } })
    expect(settings.model).toMatchObject({ providers: ['cuda', 'cpu'], name: null, store: '/models', batch_tokens_max: null })
    const common = embedder!.environment!
    expect(filled(String(common['ENTREPOT_MODEL_NAME']))).toBe('')
    // Who reads the vectors and who makes them must name one model.
    for (const [, { environment }] of [...own, ['', on_gpu!] as const])
      expect([environment!['ENTREPOT_MODEL_NAME'], environment!['ENTREPOT_MODEL_STORE']]).toEqual([
        common['ENTREPOT_MODEL_NAME'],
        '/models',
      ])
  })

  test('every stage runs in exactly one role', () => {
    const run = roles.flatMap(([, { command }]) => {
      expect(command?.slice(0, 2)).toEqual(['run', '--stages'])
      return command![2]!.split(',')
    })
    expect(stages.length).toBeGreaterThanOrEqual(6)
    // Those of images are there only with an image model: whoever configures one adds a role of its own for them.
    expect(run.sort()).toEqual(stages.filter((stage) => !/images$/u.test(stage)).sort())
  })

  test('who waits, waits for a service that can say it is healthy, or that ends', () => {
    const healthy = (name: string) => compose.services[name]?.healthcheck?.test !== undefined
    for (const [name, { depends_on = {} }] of services)
      for (const [needed, { condition }] of Object.entries(depends_on)) {
        expect([name, needed, needed in compose.services]).toEqual([name, needed, true])
        if (condition === 'service_healthy') expect([needed, healthy(needed)]).toEqual([needed, true])
        else expect([condition, needed]).toEqual(['service_completed_successfully', 'init'])
      }
    for (const name of ['kafka', 'schema-registry', 'qdrant', 'prometheus', 'grafana'])
      expect([name, healthy(name)]).toEqual([name, true])
    for (const [, { depends_on = {} }] of roles)
      expect(Object.keys(depends_on).sort()).toEqual(['init', 'kafka', 'qdrant', 'schema-registry'])
  })

  test('nothing listens beyond this machine, every image has a version, our own run without rights', () => {
    for (const [name, { ports = [], image = '', privileged }] of services) {
      for (const port of ports) expect([name, port.startsWith('127.0.0.1:')]).toEqual([name, true])
      expect(filled(image)).toMatch(/^[a-z0-9/.-]+:(v?\d+\.\d+|local)/u)
      expect(privileged).toBeUndefined()
    }
    for (const [, service] of own)
      expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
  })

  test('every volume is declared, every mounted file is there', () => {
    for (const [, { volumes = [] }] of services)
      for (const volume of volumes) {
        const source = volume.split(':')[0]!
        if (source.startsWith('./')) expect([source, existsSync(join(root, source))]).toEqual([source, true])
        else expect(Object.keys(compose.volumes)).toContain(source)
      }
  })

  test('the settings of every role load, in servers mode; only the canonicalizer has the key', () => {
    const folder = mkdtempSync(join(tmpdir(), 'entrepot-deploy-'))
    try {
      const secret = join(folder, 'secret')
      writeFileSync(secret, 's'.repeat(64), { mode: 0o600 })
      for (const [name, { environment = {} }] of own) {
        const env = Object.fromEntries(Object.entries(environment).map(([key, value]) => [key, filled(String(value))]))
        expect([name, env['ENTREPOT_IDENTITY_SECRET_FILE']]).toEqual([
          name,
          name === 'canonicalizer' ? '/identity/secret' : undefined,
        ])
        const { settings, warnings } = loadSettings({
          env: {
            ...env,
            ENTREPOT_CONFIG: join(root, 'deploy/entrepot.yaml'),
            ...(name === 'canonicalizer' ? { ENTREPOT_IDENTITY_SECRET_FILE: secret } : {}),
          },
        })
        expect([settings.mode, settings.http.host, settings.http.insecure, warnings]).toEqual(['servers', '0.0.0.0', true, []])
        expect(settings.qdrant.url).toBe('http://qdrant:6333')
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  test('.env.example names exactly what the file reads, with its defaults', () => {
    const read_here = new Map([...compose_text.matchAll(/\$\{([A-Z_]+):-([^}]*)\}/gu)].map((match) => [match[1]!, match[2]!]))
    const offered = new Map(
      [...read('deploy/.env.example').matchAll(/^([A-Z_]+)=(.*)$/gmu)].map((match) => [match[1]!, match[2]!]),
    )
    expect([...offered].sort()).toEqual([...read_here].sort())
    expect(compose_text.match(/\$\{[A-Z_]+\}/gu)).toBeNull()
  })
})

describe('the images', () => {
  const let_in = new Set([...read('.dockerignore').matchAll(/^!(.+)$/gmu)].map((match) => match[1]))
  const files = [
    ['deploy/docker/Dockerfile', 'USER node', ['node:26-slim', 'node:26-slim']],
    ['deploy/docker/Dockerfile.nvidia', 'USER 1000:1000', ['node:26-slim', 'nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04']],
  ] as const

  test.each(files)('%s installs from the lock file, runs as nobody special, says whether it lives', (path, user, bases) => {
    const dockerfile = read(path)
    expect(dockerfile).toContain('npm ci --omit=dev')
    expect(dockerfile.lastIndexOf(user)).toBeGreaterThan(dockerfile.lastIndexOf('RUN '))
    expect(dockerfile).toMatch(/^HEALTHCHECK /mu)
    expect(dockerfile).toContain('/healthz')
    expect([...dockerfile.matchAll(/^FROM (\S+)/gmu)].map((match) => match[1])).toEqual(bases)
  })

  test.each(files.map(([path]) => path))('%s copies what is there, and .dockerignore lets it in', (path) => {
    const copied = [...read(path).matchAll(/^COPY (?!--from)(.+) \S+$/gmu)].flatMap((match) => match[1]!.split(' '))
    expect(copied.length).toBeGreaterThanOrEqual(6)
    for (const one of copied) expect([one, existsSync(join(root, one)), let_in.has(one)]).toEqual([one, true, true])
  })

  test('the install script that fetches CUDA’s provider is where the NVIDIA image calls it, and knows the label', () => {
    const [, label, script] = /ONNXRUNTIME_NODE_INSTALL=(\S+) node (\S+)/u.exec(read('deploy/docker/Dockerfile.nvidia'))!
    expect(existsSync(join(root, script!))).toBe(true)
    expect(read(join(dirname(script!), 'install-metadata.js'))).toContain(`'linux/x64:${label}'`)
    const [, folder] = /test -s (\S+)\/libonnxruntime_providers_cuda\.so/u.exec(read('deploy/docker/Dockerfile.nvidia'))!
    expect(read(join(dirname(script!), 'install.js'))).toContain(folder!.split('/').slice(2, 4).join('/'))
  })
})

describe('Prometheus and Grafana', () => {
  const catalogue = metrics as Readonly<Record<string, MetricSpec>>
  const files = globSync(['deploy/**/*.{yml,yaml,json}', 'docker-compose.yml'], { cwd: root })

  /** The metric that a series name belongs to: histograms are read by their parts. */
  const metricOf = (series: string): string => {
    const base = series.replace(/_(bucket|sum|count)$/u, '')
    return catalogue[base]?.kind === 'histogram' ? base : series
  }

  test('every metric they name is in the catalogue, or prom-client’s own', async () => {
    const process_metrics = await openTelemetry({ process_metrics: true }).text()
    const named = new Set<string>()
    for (const path of files)
      for (const [series] of read(path).matchAll(/\b(entrepot|process|nodejs)_[a-z0-9_]+\b/gu)) {
        named.add(metricOf(series))
        const known = metricOf(series) in catalogue || process_metrics.includes(`# TYPE ${series} `)
        expect([path, series, known]).toEqual([path, series, true])
      }
    expect(named.size).toBeGreaterThan(20)
  })

  test('every label they select or group by is a label of that metric', () => {
    const expressions = [
      ...(parse(read('deploy/prometheus/alerts.yml')) as { groups: { rules: { expr: string }[] }[] }).groups.flatMap(
        ({ rules }) => rules.map(({ expr }) => expr),
      ),
      ...[...JSON.stringify(dashboard()).matchAll(/"expr":("(?:[^"\\]|\\.)*")/gu)].map(
        (match) => JSON.parse(match[1]!) as string,
      ),
    ]
    // What Prometheus adds to every series at the scrape.
    const added = ['job', 'instance', 'role', 'le']
    let checked = 0
    for (const expression of expressions) {
      const used = [...expression.matchAll(/\b(entrepot_[a-z_]+)(?:\{([^}]*)\})?/gu)]
      for (const [, series, selector = ''] of used) {
        const { labels } = catalogue[metricOf(series!)]!
        for (const [, label] of selector.matchAll(/([a-z_]+)\s*(?:=|!=|=~|!~)/gu)) {
          expect([expression, label, label! in labels || added.includes(label!)]).toEqual([expression, label, true])
          checked++
        }
      }
      if (used.length !== 1) continue
      const { labels } = catalogue[metricOf(used[0]![1]!)]!
      for (const [, list] of expression.matchAll(/\bby \(([^)]*)\)/gu))
        for (const label of list!.split(',').map((one) => one.trim())) {
          expect([expression, label, label in labels || added.includes(label)]).toEqual([expression, label, true])
          checked++
        }
    }
    expect(checked).toBeGreaterThan(20)
  })

  test('the dashboard shows every metric of the catalogue', () => {
    const text = JSON.stringify(dashboard())
    for (const name of Object.keys(catalogue)) expect([name, text.includes(name)]).toEqual([name, true])
  })

  test('panels do not overlap, and stay within the width', () => {
    type Place = { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
    const { panels } = dashboard() as { panels: readonly { readonly id: number; readonly gridPos: Place }[] }
    const taken = new Map<string, number>()
    for (const { id, gridPos } of panels) {
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24)
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([id, taken.get(`${x},${y}`)]).toEqual([id, undefined])
          taken.set(`${x},${y}`, id)
        }
    }
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  })

  test('every alert has a test, a summary and a remedy', () => {
    const { groups } = parse(read('deploy/prometheus/alerts.yml')) as {
      groups: readonly {
        rules: readonly { alert: string; annotations: Record<string, string>; labels: Record<string, string> }[]
      }[]
    }
    const tested = read('deploy/prometheus/alerts.test.yml')
    for (const { alert, annotations, labels } of groups.flatMap(({ rules }) => rules)) {
      expect(tested).toContain(`alertname: ${alert}\n`)
      expect(Object.keys(annotations).sort()).toEqual(['summary', 'what_to_do'])
      expect(['warning', 'critical']).toContain(labels['severity'])
    }
  })

  test('files that name others name ones that are there', () => {
    const { rule_files, scrape_configs } = parse(read('deploy/prometheus/prometheus.yml')) as {
      rule_files: readonly string[]
      scrape_configs: readonly { job_name: string; dns_sd_configs?: readonly { names: readonly string[]; port: number }[] }[]
    }
    for (const path of rule_files) expect(existsSync(resolve(root, 'deploy/prometheus', path))).toBe(true)
    const scraped = scrape_configs.find(({ job_name }) => job_name === 'entrepot')!.dns_sd_configs![0]!
    expect([...scraped.names].sort()).toEqual(roles.map(([name]) => name).sort())
    expect(scraped.port).toBe(loadSettings({ env: {}, working_folder: tmpdir() }).settings.http.port)
    const provider = parse(read('deploy/grafana/provisioning/dashboards/entrepot.yml')) as {
      providers: { options: { path: string } }[]
    }
    const mounted = compose.services['grafana']!.volumes!.find((volume) => volume.startsWith('./deploy/grafana/dashboards:'))!
    expect(provider.providers[0]!.options.path).toBe(mounted.split(':')[1])
    const home = compose.services['grafana']!.environment!['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'] as string
    expect(dirname(home)).toBe(mounted.split(':')[1])
  })
})

describe('the tools’ own judgement', () => {
  /** A test where the tool is on PATH; where not, it is skipped and says so. */
  const withTool = (probe: readonly string[], name: string, body: () => void) => {
    const found = spawnSync(probe[0]!, probe.slice(1)).status === 0
    if (found) test(name, body)
    else test.skip(`${name} (skipped: \`${probe.join(' ')}\` does not run here)`, body)
  }
  const passes = (...command: readonly string[]): void => {
    const { status, stdout, stderr } = spawnSync(command[0]!, command.slice(1), { cwd: root, encoding: 'utf8' })
    expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, ''])
  }

  withTool(['promtool', '--version'], 'promtool takes the rules, their tests pass, and it takes the configuration', () => {
    passes('promtool', 'check', 'rules', 'deploy/prometheus/alerts.yml')
    passes('promtool', 'test', 'rules', 'deploy/prometheus/alerts.test.yml')
    passes('promtool', 'check', 'config', 'deploy/prometheus/prometheus.yml')
  })

  withTool(['docker', 'compose', 'version'], 'docker compose config passes', () => {
    passes('docker', 'compose', 'config', '--quiet')
  })
})
