/** How the process is told to stop, and what it does with errors that nobody caught. */

export const exit_codes = {
  ok: 0,
  findings: 1,
  usage: 2,
  unavailable: 69,
  defect: 70,
  cut_short: 75,
  misconfigured: 78,
} as const

/** The meaning of each exit code, for the help. */
export const exit_meanings: Readonly<Record<keyof typeof exit_codes, string>> = {
  ok: 'done',
  findings: 'findings: lint errors, failed cases, drift',
  usage: 'wrong arguments',
  unavailable: 'a server does not answer',
  defect: 'a defect, or no progress (see the log)',
  cut_short: 'stopped by a signal before the end',
  misconfigured: 'a wrong or missing setting',
}

/** A terminal sends Ctrl-C to the whole process group and the launcher passes it on: within this time that is one press. */
const same_press_ms = 300

let stopping: AbortSignal | undefined

/**
 * A signal that aborts at the first SIGTERM or SIGINT; the second one, later than same_press_ms, ends the process with 75.
 * Handlers are installed on the first call, so that commands which never ask for it die at once as programs do.
 */
export const stopSignal = (): AbortSignal => {
  if (stopping !== undefined) return stopping
  const controller = new AbortController()
  let first_ms: number | undefined
  const stop = (): void => {
    const now_ms = performance.now()
    if (first_ms === undefined) {
      first_ms = now_ms
      controller.abort()
    } else if (now_ms - first_ms > same_press_ms) process.exit(exit_codes.cut_short)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stop)
  stopping = controller.signal
  return stopping
}

/** Ends with the launcher: when it is gone, by whatever signal, nobody waits for this process and it may not hold the folder. */
export const endWithLauncher = (): void => {
  if (process.env['LAUNCHED_BY_ENTREPOT'] !== '1') return
  delete process.env['LAUNCHED_BY_ENTREPOT']
  process.on('disconnect', () => process.exit(exit_codes.cut_short))
  process.channel?.unref()
}

/** A reader that went away (`entrepot explain | head`) ends the program quietly, as it does for others. */
export const endWithReader = (): void => {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exit_codes.ok)
    throw error
  })
}
