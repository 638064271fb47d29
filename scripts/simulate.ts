/**
 * Storms in a bottle: `npm run simulate -- --seeds 10000`, `--seed 127 --trace`, `--mutations`. Exits with 1 when a seed fails, when a
 * planted bug goes unnoticed, or when a nightly run never came to a point that it has to have come to.
 */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { disk_mutations } from '../processors/simulate/disk/mutations.ts'
import type { Mutation } from '../processors/simulate/mutation.ts'
import { kafka_mutations, qdrant_mutations } from '../processors/simulate/mutations.ts'
import { runSeed, type SeedResult } from '../processors/simulate/seed.ts'
import { type FaultName, fault_names } from '../processors/simulate/weather.ts'
import { openWorkshop } from '../processors/simulate/workshop.ts'
import { argumentsOf } from './arguments.ts'
import { type Coverage, coverage_of } from './simulate/coverage.ts'
import { misfit_status, planted } from './simulate/plant.ts'
import { runSeeds } from './simulate/pool.ts'
import { turn } from './simulate/worker.ts'

const help = `Runs Entrepot in a simulated world of faults: the real runtime, topology and Kafka adapter on simulated brokers, index, registry and clock.

  npm run simulate -- --seeds 10000       that many seeds, from --from (1)
  npm run simulate -- --seed 127 --trace  one seed; the trace as JSON lines on standard output
  npm run simulate -- --mutations         plants each known bug and prints which seed notices it into docs/guarantees.md
  npm run simulate -- --mutation NAME     plants one
  --events n          source events a seed, about: 200, or 60 with planted bugs
  --only a,b          only these faults (${fault_names.length}: ${fault_names.slice(0, 4).join(', ')}, …)
  --workers n         threads; one a core unless told
  --coverage          fails when a named point or fault was never hit (for runs of 2,000 seeds and more)
  --until-failure     ends at the first failing seed
`

const { values } = argumentsOf(help, {
  options: {
    seeds: { type: 'string', default: '1000' },
    from: { type: 'string', default: '1' },
    seed: { type: 'string' },
    events: { type: 'string' },
    workers: { type: 'string' },
    only: { type: 'string' },
    trace: { type: 'boolean', default: false },
    mutations: { type: 'boolean', default: false },
    mutation: { type: 'string' },
    'until-failure': { type: 'boolean', default: false },
    coverage: { type: 'boolean', default: false },
  },
})

const tty = process.stderr.isTTY === true
const numberOf = (name: string, text: string): number => {
  const number = Number(text)
  if (!Number.isSafeInteger(number) || number < 0) {
    process.stderr.write(`--${name} takes a whole number, not ${text}.\n`)
    process.exit(2)
  }
  return number
}
/** Planted bugs are noticed by many small seeds rather than by few large ones. */
const events = numberOf('events', values.events ?? (values.mutations || values.mutation !== undefined ? '60' : '200'))
const only = values.only?.split(',') as readonly FaultName[] | undefined
for (const name of only ?? [])
  if (!fault_names.includes(name)) {
    process.stderr.write(`There is no fault ${name}; there are ${fault_names.join(', ')}.\n`)
    process.exit(2)
  }

/** The one command that repeats a seed. */
const again = (seed: number): string =>
  `npm run simulate -- --seed ${seed} --trace${events === 200 ? '' : ` --events ${events}`}${only === undefined ? '' : ` --only ${only.join(',')}`}`

const showViolations = (result: SeedResult): void => {
  process.stderr.write(`\nSeed ${result.seed} fails:\n`)
  for (const { checker, anomaly, detail } of result.violations.slice(0, 10))
    process.stderr.write(`  ${checker}: ${anomaly}: ${detail}\n`)
  process.stderr.write(`  Repeat it: ${again(result.seed)}\n`)
}

const runOne = async (seed: number): Promise<number> => {
  const result = await runSeed(await openWorkshop(), seed, {
    events,
    keep_trace: values.trace,
    turn,
    ...(only === undefined ? {} : { only }),
  })
  if (values.trace) {
    process.stdout.write(`${JSON.stringify({ seed, events: result.events, faults: Object.fromEntries(result.faults) })}\n`)
    for (const line of result.trace) process.stdout.write(`${JSON.stringify(line)}\n`)
    process.stdout.write(
      `${JSON.stringify({ verdict: result.violations.length === 0 ? 'holds' : 'fails', violations: result.violations })}\n`,
    )
  }
  process.stderr.write(
    `Seed ${seed}, trace ${result.trace_hash}: ${result.events} events, ${result.steps} steps, ${Math.round(result.virtual_ms)} virtual ms; ` +
      `lag 0 ${Math.round(result.recovery_ms)} ms after the storm, ${result.drift} points repaired, ` +
      `click to list ${result.freshness_ms === null ? 'not seen' : `${Math.round(result.freshness_ms)} ms`}.\n`,
  )
  if (result.violations.length === 0) return 0
  showViolations(result)
  return 1
}

const table = (rows: readonly (readonly [string, number])[]): string => {
  const wide = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, n]) => `  ${name.padEnd(wide)}  ${n}`).join('\n')
}

const runMany = async (from: number, count: number): Promise<number> => {
  const began = performance.now()
  const coverage: Coverage = coverage_of()
  let done = 0
  let failed = 0
  let said = 0
  await runSeeds({
    from,
    count,
    events,
    keep_trace: false,
    ...(only === undefined ? {} : { only }),
    ...(values.workers === undefined ? {} : { workers: numberOf('workers', values.workers) }),
    onResult: (result) => {
      done++
      coverage.add(result)
      if (result.violations.length > 0) {
        failed++
        showViolations(result)
      }
      const now = performance.now()
      if (now - said > (tty ? 200 : 10_000)) {
        said = now
        process.stderr.write(
          `${tty ? '\r' : ''}${done} of ${count} seeds, ${(done / ((now - began) / 1000)).toFixed(1)} seeds/s, ${failed} failed${tty ? '   ' : '\n'}`,
        )
      }
      return !(values['until-failure'] && failed > 0)
    },
  })
  const seconds = (performance.now() - began) / 1000
  process.stderr.write(tty ? '\n' : '')
  const {
    traces,
    faults,
    points,
    killed_at,
    sometimes,
    exits,
    recovery_ms,
    freshness_ms,
    drift,
    events: total,
    missing,
  } = coverage.report()
  process.stdout.write(
    `${done} seeds (${from} to ${from + done - 1}), ${total} source events, ${seconds.toFixed(1)} s: ${(done / seconds).toFixed(1)} seeds/s, traces ${traces}\n\n` +
      `Faults injected\n${table(faults)}\n\nCrashes at named points (${killed_at.length} of ${points})\n${table(killed_at)}\n\n` +
      `Sometimes\n${table(sometimes)}\n\n${exits.length === 0 ? '' : `Processes that ended by themselves, by fault\n${table(exits)}\n\n`}` +
      `Lag 0 after the storm: p50 ${recovery_ms(0.5)} ms, p99 ${recovery_ms(0.99)} ms. ` +
      `Click to list in the calm: p50 ${freshness_ms(0.5)} ms, p99 ${freshness_ms(0.99)} ms (virtual). Points repaired: ${drift}.\n`,
  )
  if (missing.length > 0)
    process.stdout.write(`Never hit: ${missing.join(', ')}.${values.coverage ? '' : ' (A run with --coverage would fail.)'}\n`)
  process.stdout.write(failed === 0 ? `All ${done} seeds hold.\n` : `${failed} of ${done} seeds FAIL.\n`)
  return failed > 0 || (values.coverage && missing.length > 0) ? 1 : 0
}

type Notice = { readonly seed: number | null; readonly by: string; readonly misfit: boolean }

/** Runs a command with a bug planted; `found` reads the first failing seed and what noticed it from its output. */
const withBug = (mutation: Mutation, command: readonly string[], found: RegExp): Promise<Notice> =>
  new Promise((resolve) => {
    const { node_arguments, env } = planted(mutation)
    const child = spawn(process.execPath, [...node_arguments, ...command], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    let text = ''
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk) => {
        text += String(chunk)
      })
    child.on('exit', (status) => {
      const [, seed, by] = found.exec(text) ?? []
      const misfit = status === misfit_status || !text.includes(`planted ${mutation.name}`)
      if (seed !== undefined) resolve({ seed: Number(seed), by: by!, misfit })
      else resolve({ seed: status === 0 ? null : 0, by: status === 0 ? '' : 'the process died', misfit })
    })
  })

const here = fileURLToPath(import.meta.url)
const disk_seeds = fileURLToPath(new URL('./simulate/disk-seeds.ts', import.meta.url))
const acknowledged = fileURLToPath(new URL('./simulate/acknowledged.ts', import.meta.url))
/** The planted bugs and the storms they are sent into. */
const suites: readonly {
  readonly mutations: readonly Mutation[]
  readonly notices: (mutation: Mutation, seeds: number) => Promise<Notice>
}[] = [
  {
    mutations: kafka_mutations,
    notices: (mutation, seeds) =>
      withBug(
        mutation,
        [here, '--seeds', String(seeds), '--workers', '1', '--until-failure', '--events', String(events)],
        /Seed (\d+) fails:\n {2}([a-z-]+: [^:\n]+)/,
      ),
  },
  {
    mutations: qdrant_mutations,
    notices: (mutation) => withBug(mutation, [acknowledged], /^seed (\d+): ([^:\n]+)/m),
  },
  {
    mutations: disk_mutations,
    notices: (mutation, seeds) => withBug(mutation, [disk_seeds, String(Math.min(seeds, 150))], /^seed (\d+): ([^:\n]+)/m),
  },
]

const docs_path = fileURLToPath(new URL('../docs/guarantees.md', import.meta.url))
const marks = ['<!-- mutations -->', '<!-- /mutations -->'] as const

const runMutations = async (): Promise<number> => {
  const seeds_max = numberOf('seeds', values.seeds)
  const all = suites.flatMap(({ mutations, notices }) => mutations.map((mutation) => ({ mutation, notices })))
  const chosen = all.filter(({ mutation: { name } }) => values.mutation === undefined || name === values.mutation)
  if (chosen.length === 0) {
    process.stderr.write(
      `There is no planted bug ${values.mutation}; there are ${all.map(({ mutation: { name } }) => name).join(', ')}.\n`,
    )
    return 2
  }
  const results = new Map<Mutation, Notice>()
  const waiting = [...chosen]
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const notice = await next.notices(next.mutation, seeds_max)
      results.set(next.mutation, notice)
      const verdict = notice.misfit
        ? 'DOES NOT FIT the sources'
        : notice.seed === null
          ? 'UNNOTICED'
          : `seed ${notice.seed}, ${notice.by}`
      process.stderr.write(`${results.size} of ${chosen.length}  ${next.mutation.name}: ${verdict}\n`)
    }
  }
  await Promise.all([lane(), lane()])
  let alive = 0
  const rows = chosen.map(({ mutation }) => {
    const { seed, by, misfit } = results.get(mutation)!
    if (misfit || seed === null) alive++
    return `| ${mutation.name} | ${mutation.breaks} | ${misfit ? 'does not fit' : (seed ?? 'unnoticed')} | ${by} |`
  })
  const printed = `| planted bug | what it breaks | first seed | checker: anomaly |\n|---|---|---|---|\n${rows.join('\n')}\n`
  process.stdout.write(`${printed}\n${chosen.length - alive} of ${chosen.length} planted bugs are noticed.\n`)
  const page = readFileSync(docs_path, 'utf8')
  const [head, rest] = page.split(marks[0])
  const tail = rest?.split(marks[1])[1]
  if (values.mutation === undefined && alive === 0 && tail !== undefined)
    writeFileSync(docs_path, `${head}${marks[0]}\n${printed}${marks[1]}${tail}`)
  return alive === 0 ? 0 : 1
}

if (values.mutations || values.mutation !== undefined) process.exitCode = await runMutations()
else if (values.seed !== undefined) process.exitCode = await runOne(numberOf('seed', values.seed))
else process.exitCode = await runMany(numberOf('from', values.from), numberOf('seeds', values.seeds))
