/** The frame of the CLI: commands are data; this finds the one asked for, helps, loads settings, and turns faults into exit codes. */
import type { Env, Loaded } from '../config/load.ts'
import { loadSettings } from '../config/load.ts'
import { nearest } from '../config/nearest.ts'
import type { Settings } from '../config/spec.ts'
import { asFault, type Fault, type FaultKind, fault_codes } from '../domain/fault.ts'
import type { Log, LogLevel } from '../telemetry/log.ts'
import {
  type Argument,
  type ArgumentValues,
  type Flag,
  type Flags,
  type FlagValues,
  findCommand,
  nameArguments,
  parseArguments,
} from './arguments.ts'
import { exit_codes, exit_meanings } from './signals.ts'
import type { Terminal } from './terminal.ts'

/** What a command is run with. */
export type Context<A extends readonly Argument[] = readonly Argument[], F extends Flags = Flags> = {
  readonly arguments: ArgumentValues<A>
  readonly flags: FlagValues<F>
  /** Results. */
  readonly out: Terminal
  /** Everything else: progress, warnings, errors. */
  readonly err: Terminal
  /** Results are wanted as JSON. */
  readonly json: boolean
  readonly env: Env
  readonly version: string
  /** The settings, loaded and checked on the first call. Throws misconfigured faults. */
  settings(): Settings
  /** The same with origins, file and warnings. */
  loaded(): Loaded
  /** The log at the level of the settings; opened on the first call. `left_out` hears of lines that were not written. */
  log(left_out?: (lines: number) => void): Log
  /** Aborts when the process is told to stop. Ask for it only if the command then ends by itself. */
  stopping(): AbortSignal
  /** Prints `value` as JSON under --json, else the text. */
  print(value: unknown, text: () => string): void
  /** Prints what is wrong with the arguments and how the command is used; return its result. */
  misuse(says: string): number
}

export type Command = {
  /** One word, or group and word: `dlq show`. */
  readonly name: string
  /** One line, without a full stop. */
  readonly summary: string
  /** More, for the command's own help. */
  readonly details?: string
  readonly examples?: readonly string[]
  readonly arguments: readonly Argument[]
  readonly flags: Flags
  /** Resolves with an exit code, or nothing for 0. A thrown fault decides by its kind. */
  run(context: Context): Promise<number | undefined>
}

/** A command whose `run` sees its own arguments and flags by type. */
export const command = <const A extends readonly Argument[], const F extends Flags>(
  spec: Omit<Command, 'arguments' | 'flags' | 'run'> & {
    readonly arguments: A
    readonly flags: F
    readonly run: (context: Context<A, F>) => Promise<number | undefined>
  },
): Command => spec as unknown as Command

const log_levels = ['debug', 'info', 'warn', 'error', 'silent'] as const

/** Flags that every command takes. */
export const global_flags = {
  config: {
    type: 'text',
    short: 'c',
    value: 'FILE',
    doc: 'The YAML file of settings; else ENTREPOT_CONFIG, else ./entrepot.yaml.',
  },
  set: { type: 'texts', value: 'NAME=VALUE', doc: 'One setting, over file and environment. May be repeated.' },
  'log-level': { type: 'text', value: 'LEVEL', allowed: log_levels, doc: `One of ${log_levels.join(', ')}.` },
  json: { type: 'switch', doc: 'Print results as JSON.' },
  help: { type: 'switch', short: 'h', doc: 'What a command does and takes.' },
  version: { type: 'switch', short: 'V', doc: 'The version.' },
} as const satisfies Flags

const exit_by_kind: Readonly<Record<FaultKind, number>> = {
  malformed: exit_codes.findings,
  transient: exit_codes.unavailable,
  fenced: exit_codes.unavailable,
  corrupt: exit_codes.defect,
  misconfigured: exit_codes.misconfigured,
  defect: exit_codes.defect,
}

/** The exit code of a command that ended by this fault. */
export const exitCodeOf = (fault: Fault): number => exit_by_kind[fault.kind]

/** A fault as a person reads it: what happened, then what to do; the stack only of defects. */
export const faultText = (terminal: Terminal, fault: Fault): string => {
  const lines = [`${terminal.paint(['bold', 'red'], `error ${fault.code}`)} ${fault.message}`]
  const { remedy } = fault_codes[fault.code]
  if (!/^The message /u.test(remedy)) lines.push(terminal.paint('dim', `  ${remedy}`))
  if (fault.kind === 'defect') {
    const { stack } = fault.cause instanceof Error ? fault.cause : fault
    lines.push(terminal.paint('dim', (stack ?? '').split('\n').slice(1, 8).join('\n')))
  }
  return lines.join('\n')
}

const flagRow = ([name, flag]: readonly [string, Flag]): readonly [string, string] => [
  `${flag.short === undefined ? '    ' : `-${flag.short}, `}--${name}${flag.type === 'switch' ? '' : ` ${flag.value ?? 'VALUE'}`}`,
  flag.doc,
]

const aligned = (rows: readonly (readonly [string, string])[]): string => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`).join('\n')
}

const argumentText = ({ name, optional, rest }: Argument): string => {
  const word = `<${name}>${rest === true ? '…' : ''}`
  return optional === true ? `[${word}]` : word
}

const usageOf = (one: Command): string => ['entrepot', one.name, ...one.arguments.map(argumentText), '[flags]'].join(' ')

const commandHelp = (terminal: Terminal, one: Command): string => {
  const title = (text: string): string => terminal.paint('bold', text)
  const parts = [`${one.summary}.`, `${title('Usage')}\n  ${usageOf(one)}`]
  if (one.details !== undefined) parts.splice(1, 0, one.details)
  if (one.arguments.length > 0)
    parts.push(`${title('Arguments')}\n${aligned(one.arguments.map((argument) => [argumentText(argument), argument.doc]))}`)
  if (Object.keys(one.flags).length > 0) parts.push(`${title('Flags')}\n${aligned(Object.entries(one.flags).map(flagRow))}`)
  parts.push(`${title('Flags of every command')}\n${aligned(Object.entries(global_flags).map(flagRow))}`)
  if (one.examples !== undefined) parts.push(`${title('Examples')}\n${one.examples.map((example) => `  ${example}`).join('\n')}`)
  return parts.join('\n\n')
}

const overallHelp = (terminal: Terminal, commands: readonly Command[], prefix = ''): string => {
  const title = (text: string): string => terminal.paint('bold', text)
  const chosen = commands.filter(({ name }) => prefix === '' || name.startsWith(`${prefix} `))
  const codes = (Object.keys(exit_codes) as (keyof typeof exit_codes)[]).map(
    (name) => [String(exit_codes[name]), exit_meanings[name]] as const,
  )
  return [
    'Entrepot fuses what many shops publish into one catalogue, and turns clicks into recommendations.',
    `${title('Usage')}\n  entrepot ${prefix === '' ? '<command>' : `${prefix} <command>`} [arguments] [flags]`,
    `${title('Commands')}\n${aligned(chosen.map(({ name, summary }) => [name, summary]))}`,
    `${title('Flags of every command')}\n${aligned(Object.entries(global_flags).map(flagRow))}`,
    `${title('Exit codes')}\n${aligned(codes)}`,
    'entrepot <command> --help says more of a command; entrepot config docs lists the settings.',
  ].join('\n\n')
}

export type FrameOptions = {
  readonly commands: readonly Command[]
  /** Without node and script. */
  readonly argv: readonly string[]
  readonly env: Env
  readonly out: Terminal
  readonly err: Terminal
  readonly version: string
  readonly working_folder?: string
  readonly openLog: (level: LogLevel, left_out: (lines: number) => void) => Log
  readonly stopping: () => AbortSignal
}

/** Runs one command line and resolves with its exit code. Never throws. */
export const runCommandLine = async (options: FrameOptions): Promise<number> => {
  const { commands, argv, env, out, err, version } = options
  const names = commands.map(({ name }) => name)
  const complain = (says: string, hint: string): number => {
    err.line(`${err.paint(['bold', 'red'], 'error')} ${says}`)
    err.line(err.paint('dim', `  ${hint}`))
    return exit_codes.usage
  }

  const asked = argv[0] === 'help' ? [...argv.slice(1), '--help'] : argv
  const found = findCommand(asked, names, global_flags)
  const one = commands.find(({ name }) => name === found.name)
  if (one === undefined) {
    const parsed = parseArguments(asked, global_flags)
    const [first] = found.words
    const group = first !== undefined && names.some((name) => name.startsWith(`${first} `))
    if (first !== undefined && !(group && found.words.length === 1)) {
      const word = found.words.slice(0, group ? 2 : 1).join(' ')
      const meant = nearest(found.words.join(' '), names) ?? nearest(first, names)
      return complain(
        `There is no command ${word}${meant === undefined ? '.' : `; did you mean ${meant}?`}`,
        'entrepot --help lists them.',
      )
    }
    if ('misuse' in parsed) return complain(parsed.misuse, 'entrepot --help lists commands and flags.')
    if (parsed.flags['version'] === true) {
      out.line(version)
      return exit_codes.ok
    }
    const wanted = parsed.flags['help'] === true
    const where = wanted ? out : err
    where.line(overallHelp(where, commands, group ? first : ''))
    return wanted ? exit_codes.ok : exit_codes.usage
  }

  const hint = `entrepot ${one.name} --help says what it takes.`
  const parsed = parseArguments(found.rest, { ...global_flags, ...one.flags })
  if ('misuse' in parsed) return complain(parsed.misuse, hint)
  if (parsed.flags['help'] === true) {
    out.line(commandHelp(out, one))
    return exit_codes.ok
  }
  if (parsed.flags['version'] === true) {
    out.line(version)
    return exit_codes.ok
  }
  const named = nameArguments(parsed.words, one.arguments)
  if ('misuse' in named) return complain(named['misuse'] as string, hint)

  const json = parsed.flags['json'] === true
  let loaded: Loaded | undefined
  let log: Log | undefined
  const load = (): Loaded => {
    if (loaded !== undefined) return loaded
    const level = parsed.flags['log-level']
    loaded = loadSettings({
      file: parsed.flags['config'] as string | undefined,
      env,
      set: [...(parsed.flags['set'] as readonly string[]), ...(level === undefined ? [] : [`log.level=${level as string}`])],
      ...(options.working_folder === undefined ? {} : { working_folder: options.working_folder }),
    })
    for (const warning of loaded.warnings) err.line(`${err.paint('yellow', 'warning')} ${warning}`)
    return loaded
  }
  const context: Context = {
    arguments: named as Context['arguments'],
    flags: parsed.flags as Context['flags'],
    out,
    err,
    json,
    env,
    version,
    loaded: load,
    settings: () => load().settings,
    log: (left_out = () => undefined) => {
      log ??= options.openLog(load().settings.log.level, left_out)
      return log
    },
    stopping: options.stopping,
    print: (value, text) => out.line(json ? JSON.stringify(value, null, 2) : text()),
    misuse: (says) => complain(says, hint),
  }
  try {
    return (await one.run(context)) ?? exit_codes.ok
  } catch (error) {
    const fault = asFault(error)
    if (json)
      err.line(
        JSON.stringify({
          error: { code: fault.code, kind: fault.kind, message: fault.message, remedy: fault_codes[fault.code].remedy },
        }),
      )
    else err.line(faultText(err, fault))
    return exitCodeOf(fault)
  }
}
