/** The CLI's one list of commands, and the process around it. */
import { readFileSync } from 'node:fs'
import { asFault } from '../domain/fault.ts'
import { openDestination, openLog } from '../telemetry/log.ts'
import { config_docs, config_print, config_schema } from './commands/config.ts'
import { demo } from './commands/demo.ts'
import { dlq_ls, dlq_replay, dlq_show } from './commands/dlq.ts'
import { doctor } from './commands/doctor.ts'
import { explain } from './commands/explain.ts'
import { explain_map, lint, test } from './commands/maps.ts'
import { model_ls, model_pull, model_verify } from './commands/model.ts'
import { model_bench } from './commands/model-bench.ts'
import { model_drop, model_lanes, model_rollback, model_upgrade } from './commands/model-lanes.ts'
import { rebuild } from './commands/rebuild.ts'
import { recommend } from './commands/recommend.ts'
import { repair } from './commands/repair.ts'
import { replay } from './commands/replay.ts'
import { run } from './commands/run.ts'
import { schemas_register, topics_create } from './commands/topics.ts'
import { type Command, faultText, runCommandLine } from './frame.ts'
import { endWithLauncher, endWithReader, exit_codes, stopSignal } from './signals.ts'
import { openTerminal } from './terminal.ts'

/** Every command, in the order of the help. A command is one file in commands/ and one line here. */
export const commands: readonly Command[] = [
  demo,
  run,
  recommend,
  doctor,
  replay,
  dlq_ls,
  dlq_show,
  dlq_replay,
  repair,
  rebuild,
  model_ls,
  model_pull,
  model_verify,
  model_bench,
  model_lanes,
  model_upgrade,
  model_rollback,
  model_drop,
  explain,
  explain_map,
  lint,
  test,
  topics_create,
  schemas_register,
  config_print,
  config_docs,
  config_schema,
]

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
