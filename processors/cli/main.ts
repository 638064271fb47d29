/** The CLI's one list of commands, and the process around it. */
import { readFileSync } from 'node:fs'
import { asFault } from '../domain/fault.ts'
import { openDestination, openLog } from '../telemetry/log.ts'
import { config_docs, config_print, config_schema } from './commands/config.ts'
import { type Command, faultText, runCommandLine } from './frame.ts'
import { endWithLauncher, endWithReader, exit_codes, stopSignal } from './signals.ts'
import { openTerminal } from './terminal.ts'

/** Every command, in the order of the help. A command is one file in commands/ and one line here. */
export const commands: readonly Command[] = [config_print, config_docs, config_schema]

/** The version of package.json. */
export const packageVersion = (): string =>
  (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { readonly version: string }).version

/** How long what is left open may hold the process after a command has ended. */
const lingering_ms_max = 3_000

/** Runs process.argv and leaves its exit code behind. */
export const main = async (): Promise<void> => {
  const out = openTerminal(process.stdout, process.env)
  const err = openTerminal(process.stderr, process.env)
  const crash = (error: unknown): void => {
    err.line(faultText(err, asFault(error)))
    process.exit(exit_codes.defect)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  endWithLauncher()
  endWithReader()

  let flush = (): void => undefined
  const code = await runCommandLine({
    commands,
    argv: process.argv.slice(2),
    env: process.env,
    out,
    err,
    version: packageVersion(),
    openLog: (level, left_out) => {
      const to = openDestination(2, left_out)
      flush = to.flush
      return openLog({ level, to, now_ms: Date.now, base: { pid: process.pid }, suppressed: left_out })
    },
    stopping: stopSignal,
  })
  flush()
  process.exitCode = code
  // Streams empty by themselves; what a command forgot to close must not keep the process for ever.
  setTimeout(() => process.exit(code), lingering_ms_max).unref()
}
