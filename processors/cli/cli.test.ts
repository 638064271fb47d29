import { spawn } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals'
import { Fault } from '../domain/fault.ts'
import { no_log } from '../telemetry/log.ts'
import { findCommand, nameArguments, parseArguments } from './arguments.ts'
import { config_docs, config_print, config_schema } from './commands/config.ts'
import { command, global_flags, runCommandLine } from './frame.ts'
import {
  bytesText,
  countText,
  cutTo,
  durationText,
  openProgress,
  openTerminal,
  printable,
  shortCount,
  tableText,
  widthOf,
} from './terminal.ts'

const esc = String.fromCharCode(27)
/** Each launcher test starts up to six processes; on a busy machine that takes a while. */
jest.setTimeout(60_000)

const launcher = fileURLToPath(new URL('./entrepot.js', import.meta.url))
const modules = fileURLToPath(new URL('../../node_modules', import.meta.url))

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-cli-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const screen = (over: { isTTY?: boolean; columns?: number } = {}, env: Record<string, string> = {}) => {
  let text = ''
  const terminal = openTerminal({ write: (part: string) => (text += part), ...over }, env)
  return { terminal, text: () => text }
}

describe('arguments', () => {
  const flags = {
    ...global_flags,
    stages: { type: 'text', short: 's', doc: 'd' },
    'dry-run': { type: 'switch', short: 'n', doc: 'd' },
    count: { type: 'integer', doc: 'd', min: 1 },
    platform: { type: 'text', doc: 'd', allowed: ['shopify', 'ga4'] },
  } as const

  test('flags stand anywhere, in every usual notation', () => {
    const parsed = parseArguments(
      ['a', '--stages', 'x', '-n', '--count=3', 'b', '--set', 'p=1', '--set=q=2', '--', '--not-a-flag'],
      flags,
    )
    expect(parsed).toEqual({
      flags: {
        config: undefined,
        set: ['p=1', 'q=2'],
        'log-level': undefined,
        json: false,
        help: false,
        version: false,
        stages: 'x',
        'dry-run': true,
        count: 3,
        platform: undefined,
      },
      words: ['a', 'b', '--not-a-flag'],
    })
    expect(parseArguments(['-nsx', '-c', 'f'], flags)).toMatchObject({ flags: { 'dry-run': true, stages: 'x', config: 'f' } })
    expect(parseArguments(['-s=x', '--dry-run', '--no-dry-run', '-'], flags)).toMatchObject({
      flags: { stages: 'x', 'dry-run': false },
      words: ['-'],
    })
    expect(parseArguments(['--stages', '-5', '-3'], flags)).toMatchObject({ flags: { stages: '-5' }, words: ['-3'] })
  })

  test.each([
    [['--stage', 'x'], 'There is no flag --stage; did you mean --stages?'],
    [['-x'], 'There is no flag -x.'],
    [['--stages'], '--stages takes a value'],
    [['--stages', '--json'], '--stages takes a value'],
    [['--json=yes'], '--json takes no value.'],
    [['--count', 'many'], '--count takes a whole number of at least 1, not many.'],
    [['--count', '0'], 'at least 1'],
    [['--platform', 'shopfy'], 'did you mean shopify?'],
    [['--constructor'], 'There is no flag --constructor'],
    [['--log-level', 'loud'], '--log-level takes debug, info'],
  ])('%j is refused', (argv, says) => {
    expect((parseArguments(argv, flags) as { misuse: string }).misuse).toContain(says)
  })

  test('words go to arguments in order; rest takes what is left', () => {
    const specs = [
      { name: 'map', doc: 'The map.' },
      { name: 'files', doc: 'Files.', rest: true, optional: true },
    ] as const
    expect(nameArguments(['m', 'a', 'b'], specs)).toEqual({ map: 'm', files: ['a', 'b'] })
    expect(nameArguments(['m'], specs)).toEqual({ map: 'm', files: [] })
    expect(nameArguments([], specs)).toEqual({ misuse: 'map is missing: The map.' })
    expect(nameArguments(['m', 'x'], [specs[0]])).toEqual({ misuse: 'Nothing takes x.' })
  })

  test('a command is found behind global flags, longest name first', () => {
    const find = (...argv: string[]) => findCommand(argv, ['run', 'dlq ls', 'dlq show'], global_flags)
    expect(find('-c', 'run', 'dlq', 'ls', 'x')).toMatchObject({ name: 'dlq ls', rest: ['-c', 'run', 'x'] })
    expect(find('dlq', '--json', 'show')).toMatchObject({ name: 'dlq show', rest: ['--json'] })
    expect(find('run', '--stages', 'dlq', 'ls')).toMatchObject({ name: 'run', rest: ['--stages', 'dlq', 'ls'] })
    expect(find('--set', 'a=1', 'dlq')).toMatchObject({ name: undefined, words: ['dlq'] })
  })
})

describe('the frame', () => {
  const greet = command({
    name: 'greet',
    summary: 'Greet somebody',
    details: 'A longer word about greeting.',
    examples: ['entrepot greet anna'],
    arguments: [{ name: 'who', doc: 'Whom.' }],
    flags: { loud: { type: 'switch', doc: 'Shout.' } },
    run: async ({ arguments: { who }, flags, print }) => {
      print({ who, loud: flags.loud }, () => (flags.loud ? who.toUpperCase() : who))
      return undefined
    },
  })
  const failing = (name: string, fail: () => unknown) =>
    command({
      name,
      summary: 'Fail',
      arguments: [],
      flags: {},
      run: async ({ settings }) => {
        settings()
        throw fail()
      },
    })
  const commands = [
    greet,
    config_print,
    config_docs,
    config_schema,
    failing('fail transient', () => new Fault('log.unavailable', 'The brokers do not answer.')),
    failing('fail malformed', () => new Fault('map.missing', 'title is missing.')),
    failing('fail defect', () => new Error('unforeseen')),
  ]
  const run = async (argv: readonly string[], env: Record<string, string> = {}) => {
    const out = screen()
    const err = screen()
    const code = await runCommandLine({
      commands,
      argv,
      env,
      out: out.terminal,
      err: err.terminal,
      version: '9.9.9',
      working_folder: folder,
      openLog: () => no_log,
      stopping: () => new AbortController().signal,
    })
    return { code, out: out.text(), err: err.text() }
  }

  test('runs a command with its arguments and flags; --json prints the value', async () => {
    expect(await run(['greet', 'anna', '--loud'])).toEqual({ code: 0, out: 'ANNA\n', err: '' })
    const { out } = await run(['--json', 'greet', 'anna'])
    expect(JSON.parse(out)).toEqual({ who: 'anna', loud: false })
  })

  test('--help of all, of a group, of one; help as a word', async () => {
    const all = await run(['--help'])
    expect([all.code, all.err]).toEqual([0, ''])
    for (const { name, summary } of commands) {
      expect(all.out).toContain(name)
      expect(all.out).toContain(summary)
    }
    expect(all.out).toContain('78  a wrong or missing setting')
    const group = await run(['config', '--help'])
    expect(group.out).toContain('config print')
    expect(group.out).not.toContain('greet')
    const one = await run(['greet', '--help'])
    for (const part of ['Greet somebody.', 'entrepot greet <who> [flags]', '--loud', '--config FILE', 'entrepot greet anna'])
      expect(one.out).toContain(part)
    expect((await run(['help', 'greet'])).out).toBe(one.out)
    expect((await run(['help'])).out).toBe(all.out)
  })

  test('nothing asked, and a group alone, print the help as an error', async () => {
    expect(await run([])).toMatchObject({ code: 2, out: '', err: expect.stringContaining('Commands') })
    expect(await run(['config'])).toMatchObject({ code: 2, err: expect.stringContaining('config print') })
  })

  test.each([
    [['gret'], 'There is no command gret; did you mean greet?'],
    [['config', 'pritn'], 'There is no command config pritn; did you mean config print?'],
    [['xyzzy'], 'There is no command xyzzy.'],
    [['greet'], 'who is missing: Whom.'],
    [['greet', 'a', 'b'], 'Nothing takes b.'],
    [['greet', 'a', '--lod'], 'did you mean --loud?'],
    [['--jsn'], 'did you mean --json?'],
    [['config', 'docs', 'kafak'], 'did you mean kafka?'],
  ])('%j is misuse: exit 2', async (argv, says) => {
    const { code, out, err } = await run(argv)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(says)
    expect(err).toContain('--help')
  })

  test('--version, of the program and behind a command', async () => {
    for (const argv of [['--version'], ['-V'], ['greet', '--version']])
      expect(await run(argv)).toEqual({ code: 0, out: '9.9.9\n', err: '' })
  })

  test('the kind of a fault is the exit code; the message names what to do', async () => {
    expect(await run(['fail', 'transient'])).toMatchObject({
      code: 69,
      err: expect.stringContaining('error log.unavailable The brokers do not answer.\n  Look at the brokers'),
    })
    expect(await run(['fail', 'malformed'])).toMatchObject({ code: 1 })
    const defect = await run(['fail', 'defect'])
    expect(defect).toMatchObject({ code: 70, err: expect.stringContaining('unforeseen') })
    expect(defect.err).toContain('cli.test.ts')
    const wrong = await run(['fail', 'malformed', '--set', 'http.prot=1'])
    expect(wrong).toMatchObject({ code: 78, err: expect.stringContaining('did you mean http.port?') })
    const { error } = JSON.parse((await run(['fail', 'transient', '--json'])).err)
    expect(error).toMatchObject({ code: 'log.unavailable', kind: 'transient' })
  })

  test('config print shows what differs, from where, and never a secret', async () => {
    writeFileSync(join(folder, 'entrepot.yaml'), 'recommend: { count: 7 }\nqdrant: { api_key: canary-key }\n')
    const { code, out, err } = await run(['config', 'print', '--changed', '--log-level', 'warn'], { PORT: '99' })
    expect(code).toBe(0)
    expect(out).toMatch(/recommend\.count +7 +entrepot\.yaml:1/u)
    expect(out).toMatch(/http\.port +99 +PORT/u)
    expect(out).toMatch(/log\.level +warn +--set/u)
    expect(out).toMatch(/qdrant\.api_key +\*\*\*/u)
    expect(out + err).not.toContain('canary')
    expect(err).toContain('warning')
    const rows = JSON.parse((await run(['config', 'print', '--json'])).out) as readonly { name: string; value: string }[]
    expect(rows).toContainEqual({ name: 'recommend.count', value: '7', origin: 'entrepot.yaml:1' })
  })

  test('config docs and config schema print from the spec', async () => {
    expect((await run(['config', 'docs', 'kafka.sasl'])).out.match(/^kafka\.sasl\.\w+/gmu)).toHaveLength(3)
    expect((await run(['config', 'docs', '--markdown'])).out).toContain('| `kafka.brokers` |')
    expect(JSON.parse((await run(['config', 'docs', 'http.port', '--json'])).out)).toMatchObject([
      { name: 'http.port', type: 'integer', default: 8088 },
    ])
    expect(JSON.parse((await run(['config', 'schema'])).out)).toMatchObject({ additionalProperties: false })
  })
})

describe('the terminal', () => {
  test('colours are for terminals; NO_COLOR goes before FORCE_COLOR', () => {
    const painted = (over: { isTTY?: boolean }, env: Record<string, string>) =>
      screen(over, env).terminal.paint('red', 'x') !== 'x'
    expect(painted({}, {})).toBe(false)
    expect(painted({ isTTY: true }, {})).toBe(true)
    expect(painted({ isTTY: true }, { NO_COLOR: '1' })).toBe(false)
    expect(painted({ isTTY: true }, { NO_COLOR: '' })).toBe(true)
    expect(painted({ isTTY: true }, { TERM: 'dumb' })).toBe(false)
    expect(painted({}, { FORCE_COLOR: '1' })).toBe(true)
    expect(painted({ isTTY: true }, { FORCE_COLOR: '0' })).toBe(false)
    expect(painted({}, { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false)
  })

  test('widths know East Asian letters, emoji, combining marks and styling', () => {
    expect(widthOf('kettle')).toBe(6)
    expect(widthOf('电热水壶')).toBe(8)
    expect(widthOf('é')).toBe(1)
    expect(widthOf('👩‍👩‍👧')).toBe(2)
    expect(widthOf(`${esc}[31mred${esc}[39m`)).toBe(3)
    expect(cutTo('电热水壶', 5)).toBe('电热…')
    expect(cutTo('kettle', 6)).toBe('kettle')
  })

  test('text from outside cannot move the cursor, fake a line or turn the direction', () => {
    expect(printable(`a${esc}[2Jb\r\nc\u202ed\u200be`)).toBe('a·[2Jb··c·d·e')
  })

  test('a table lines up, cuts to the window, and never breaks a row', () => {
    const columns = [{ title: 'item' }, { title: 'price', align: 'right' }, { title: 'title' }] as const
    const rows = [
      ['a', 5, '电热水壶'],
      ['bb', 1999, 'Kettle\nwith a line break'],
    ]
    expect(tableText(screen().terminal, columns, rows)).toBe(
      ['item  price  title', 'a         5  电热水壶', 'bb     1999  Kettle·with a line break'].join('\n'),
    )
    const narrow = tableText(screen({ isTTY: true, columns: 40 }, { NO_COLOR: '1' }).terminal, columns, [
      ['a', 1, 'x'.repeat(200)],
    ])
    for (const line of narrow.split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(40)
  })

  test('figures are short and right', () => {
    expect(countText(1234567)).toBe('1,234,567')
    expect([bytesText(0), bytesText(999), bytesText(23_574_733), bytesText(2e9)]).toEqual(['0 B', '999 B', '23.6 MB', '2.0 GB'])
    expect([shortCount(0), shortCount(12.345), shortCount(999), shortCount(12345), shortCount(4.5e6)]).toEqual([
      '0',
      '12.3',
      '999',
      '12.3 k',
      '4.5 M',
    ])
    expect([durationText(7.4), durationText(3723), durationText(Number.NaN), durationText(Number.POSITIVE_INFINITY)]).toEqual([
      '0:07',
      '1:02:03',
      '–',
      '–',
    ])
  })

  test('a progress bar of bytes goes on from what was done before, which is not in its rate', () => {
    const { terminal, text } = screen({ isTTY: true, columns: 120 }, { NO_COLOR: '1' })
    let now = 0
    const options = { label: 'pull', unit: 'bytes', total: 4_000_000, done: 2_000_000, amount: bytesText, now_ms: () => now }
    const progress = openProgress(terminal, options)
    now += 1_000
    progress.advance(1_000_000)
    expect(text()).toContain('75 %  3.0 MB/4.0 MB  1.0 MB/s  ETA 0:01')
    now += 1_000
    progress.advance(1_000_000)
    progress.end()
    expect(text()).toContain('100 %  4.0 MB/4.0 MB  1.0 MB/s\n')
  })

  test('a progress bar shows share, rate and ETA, and is redrawn at most ten times a second', () => {
    const { terminal, text } = screen({ isTTY: true, columns: 120 }, { NO_COLOR: '1' })
    let now = 0
    const progress = openProgress(terminal, { label: 'replay', unit: 'records', total: 10_000, now_ms: () => now })
    progress.note(`file${esc}.jsonl`)
    for (let i = 0; i < 5_000; i++) {
      now += 1
      progress.advance(1)
    }
    const draws = text().split('\r').slice(1)
    expect(draws.length).toBeGreaterThan(40)
    expect(draws.length).toBeLessThanOrEqual(50)
    expect(draws.at(-1)).toContain('50 %')
    expect(draws.at(-1)).toContain('5,000/10,000 records  1 k/s  ETA 0:05')
    expect(draws.at(-1)).toContain('file·.jsonl')
    now += 5_000
    progress.advance(5_000)
    progress.end()
    expect(text().endsWith('\n')).toBe(true)
    expect(text().split('\r').at(-1)).toContain('100 %  10,000/10,000 records  1 k/s\n')
    for (const draw of draws) expect(widthOf(draw.replace(`${esc}[K`, ''))).toBeLessThanOrEqual(120)
  })

  test('the rate follows a change of speed, and the ETA with it', () => {
    const { terminal, text } = screen({ isTTY: true, columns: 120 }, { NO_COLOR: '1' })
    let now = 0
    const progress = openProgress(terminal, { label: 'x', unit: 'r', total: 1_000_000, now_ms: () => now })
    for (let i = 0; i < 100; i++) {
      now += 100
      progress.advance(i < 10 ? 1 : 100)
    }
    const rate = Number(/ (\d+(?:\.\d+)?)\/s/u.exec(text().split('\r').at(-1)!)?.[1])
    expect(rate).toBeGreaterThan(800)
    expect(rate).toBeLessThan(1_000)
  })

  test('where nobody looks: a line every ten seconds, no control characters', () => {
    const { terminal, text } = screen()
    let now = 0
    const progress = openProgress(terminal, { label: 'replay', unit: 'records', now_ms: () => now })
    for (let i = 0; i < 250; i++) {
      now += 100
      progress.advance(10)
    }
    progress.end()
    expect(text().split('\n')).toHaveLength(4)
    expect(text()).not.toContain(esc)
    expect(text()).toMatch(/^replay: 1,000 records {2}100\/s$/mu)
  })
})

describe('the launcher', () => {
  /** Makes the launcher believe that its Node is 20, as it is on many machines; the Node it starts is left alone. */
  const as_node_20 = `data:text/javascript,${encodeURIComponent(
    `if (process.env.LAUNCHED_BY_ENTREPOT !== '1') Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } })`,
  )}`
  type Ended = { readonly code: number | null; readonly signal: string | null; readonly out: string; readonly err: string }
  const start = (args: readonly string[], env: Record<string, string> = {}) => {
    const child = spawn(process.execPath, args as string[], { env: { PATH: process.env['PATH'] ?? '', ...env }, cwd: folder })
    let out = ''
    let err = ''
    const waiting: { word: string; resolve: () => void }[] = []
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      out += part
      for (const { word, resolve } of waiting) if (out.includes(word)) resolve()
    })
    child.stderr.setEncoding('utf8').on('data', (part: string) => {
      err += part
    })
    const ended = new Promise<Ended>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal, out, err }))
    })
    const says = (word: string) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ word, resolve })
        if (out.includes(word)) resolve()
        void ended.then(({ err: why }) => reject(new Error(`It ended without saying ${word}: ${why}`)))
      })
    return { child, ended, says, out: () => out }
  }

  /** A launcher of its own beside a main.ts that waits to be stopped. */
  const waitingProgram = (): string => {
    const cli = join(folder, 'processors', 'cli')
    mkdirSync(cli, { recursive: true })
    copyFileSync(launcher, join(cli, 'entrepot.js'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
    symlinkSync(modules, join(folder, 'node_modules'))
    const signals = new URL('./signals.ts', import.meta.url).href
    writeFileSync(
      join(cli, 'main.ts'),
      `import { endWithLauncher, stopSignal } from ${JSON.stringify(signals)}
export const main = async (): Promise<void> => {
  endWithLauncher()
  const open = setInterval(() => undefined, 1000)
  stopSignal().addEventListener('abort', () => {
    console.log('stopped')
    clearInterval(open)
    process.exitCode = 7
  })
  console.log(\`ready \${process.pid} \${process.argv.slice(2).join(' ')}\`)
}
`,
    )
    return join(cli, 'entrepot.js')
  }

  test('runs here where this Node can', async () => {
    expect(await start([launcher, '--version']).ended).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/u),
    })
  })

  test('starts the pinned Node where this one is too old: arguments, streams, environment and exit codes pass', async () => {
    const old = ['--import', as_node_20, launcher]
    const [printed, misused, wrong] = await Promise.all([
      start([...old, 'config', 'print', '--json', '--set', 'kafka.client_id=two words'], { PORT: '4711' }).ended,
      start([...old, 'nonsense']).ended,
      start([...old, 'config', 'print', '--set', 'http.prot=1']).ended,
    ])
    expect(printed).toMatchObject({ code: 0, err: '' })
    expect(printed.out).toContain('two words')
    expect(printed.out).toContain('4711')
    expect(misused).toMatchObject({ code: 2, out: '' })
    expect(wrong).toMatchObject({ code: 78, err: expect.stringContaining('did you mean http.port?') })
  })

  test('a symlinked bin works, as npm makes it', async () => {
    symlinkSync(launcher, join(folder, 'entrepot'))
    expect(await start(['--import', as_node_20, join(folder, 'entrepot'), '--version']).ended).toMatchObject({ code: 0 })
  })

  test('SIGTERM and SIGINT reach the program, whose exit code comes back', async () => {
    const program = waitingProgram()
    const stopped = async (signal: NodeJS.Signals) => {
      const { child, ended, says } = start(['--import', as_node_20, program, 'a', 'b c'])
      await says('ready')
      child.kill(signal)
      return ended
    }
    for (const ended of await Promise.all([stopped('SIGTERM'), stopped('SIGINT')])) {
      expect(ended).toMatchObject({ code: 7, signal: null, out: expect.stringContaining('stopped') })
      expect(ended.out).toMatch(/^ready \d+ a b c$/mu)
    }
  })

  test('a program killed by a signal looks killed; a launcher killed outright takes its program along', async () => {
    const program = waitingProgram()
    const killed = start(['--import', as_node_20, program])
    await killed.says('ready')
    process.kill(Number(/ready (\d+)/u.exec(killed.out())![1]), 'SIGKILL')
    expect(await killed.ended).toMatchObject({ code: null, signal: 'SIGKILL' })

    const orphaned = start(['--import', as_node_20, program])
    await orphaned.says('ready')
    const pid = Number(/ready (\d+)/u.exec(orphaned.out())![1])
    expect(pid).not.toBe(orphaned.child.pid)
    orphaned.child.kill('SIGKILL')
    // `close` waits for the streams, which the program holds too: this resolves only once it is gone.
    expect(await orphaned.ended).toMatchObject({ signal: 'SIGKILL' })
  })

  const above_tmp = ['/node_modules', join(tmpdir(), 'node_modules')].find((path) => existsSync(path))
  const unless_found = above_tmp === undefined ? test : test.skip
  unless_found(
    `without a pinned Node it says what to do${above_tmp === undefined ? '' : ` (skipped: ${above_tmp} exists)`}`,
    async () => {
      const lone = join(folder, 'entrepot.js')
      copyFileSync(launcher, lone)
      writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
      expect(await start(['--import', as_node_20, lone, '--version']).ended).toMatchObject({
        code: 78,
        err: expect.stringContaining('this is Node 20.20.2, but 22.18 or newer is needed: run `npm ci`'),
      })
    },
  )

  test('a reader that goes away ends it quietly', async () => {
    const { child, ended } = start([launcher, 'config', 'schema'])
    child.stdout.destroy()
    expect(await ended).toMatchObject({ code: 0, err: '' })
  })
})
