/** Reads a script's flags: `--help` prints its text, and a flag that it does not know is said in one line. */
import { type ParseArgsConfig, parseArgs } from 'node:util'

/** As node:util's parseArgs. Ends the process with 0 after `--help`, and with 2 when the arguments are wrong. */
export const argumentsOf = <T extends ParseArgsConfig>(help: string, config: T): ReturnType<typeof parseArgs<T>> => {
  if (process.argv.slice(2).some((argument) => argument === '--help' || argument === '-h')) {
    process.stdout.write(help)
    process.exit(0)
  }
  try {
    return parseArgs(config)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    process.stderr.write(`${error.message.split('. ')[0]}. See --help.\n`)
    process.exit(2)
  }
}
