/** Bugs to plant in the embedded log: each breaks one rule of durability, and the seeds of the simulated disk must notice. */
import type { Mutation } from '../mutation.ts'

export const disk_mutations: readonly Mutation[] = [
  {
    name: 'commit-without-fsync',
    breaks: 'A commit is on the disk before it is answered; with NORMAL a loss of power takes it back: lost write.',
    file: 'adapters/embedded/database.ts',
    find: "handle.pragma('synchronous = FULL')",
    replace: "handle.pragma('synchronous = NORMAL')",
  },
  {
    name: 'no-fsync-at-all',
    breaks: 'The log is synced before it is copied into the file; with OFF a loss of power leaves a damaged file.',
    file: 'adapters/embedded/database.ts',
    find: "handle.pragma('synchronous = FULL')",
    replace: "handle.pragma('synchronous = OFF')",
  },
  {
    name: 'answer-before-commit',
    breaks: 'The answer leaves the writer after COMMIT, not before it: lost write.',
    file: 'adapters/embedded/writer.ts',
    find: '      commit.run()\n      return answers',
    replace: '      Promise.resolve().then(() => commit.run()).catch(() => undefined)\n      return answers',
  },
  {
    name: 'position-apart',
    breaks: 'Outputs, state and position are one transaction; a position of its own tears the commit.',
    file: 'adapters/embedded/writer.ts',
    find: '      set_position.run(position, source.table, id)\n',
    replace:
      '      for (const partition of touched) set_end.run(partition.end, partition.table)\n      commit.run()\n      undo = []\n      begin.run()\n' +
      '      set_position.run(position, source.table, id)\n',
  },
  {
    name: 'epoch-unchecked',
    breaks: 'A commit of an owner that lost its partition is refused: zombie commit.',
    file: 'adapters/embedded/writer.ts',
    find: 'if (task === undefined || task.epoch !== epoch)',
    replace: 'if (task === undefined)',
  },
  {
    name: 'epoch-not-stored',
    breaks: 'An epoch is given once, also over restarts.',
    file: 'adapters/embedded/writer.ts',
    find: '      set_epoch.run(epoch, id)\n',
    replace: '',
  },
  {
    name: 'ends-kept-after-rollback',
    breaks: 'What a failed transaction changed in memory is taken back; else offsets are skipped.',
    file: 'adapters/embedded/writer.ts',
    find: 'for (const restore of undo.toReversed()) restore()',
    replace: 'undo = []',
  },
  {
    name: 'state-applied-before-the-commit',
    breaks: 'State shows what is committed: applied before, it keeps what a full disk refused.',
    file: 'adapters/embedded/event-log.ts',
    find: "      const { written } = await writer().ask('commit', {",
    replace: "      task.state.committed(commit.state)\n      const { written } = await writer().ask('commit', {",
  },
  {
    name: 'full-taken-for-written',
    breaks: 'A full disk refuses; a commit that is answered as done is there.',
    file: 'adapters/embedded/writer.ts',
    find: 'return requests.map(() => ({ fault: plain(fault) }))',
    replace:
      "return requests.map(({ kind }) => (kind === 'append' && fault.code === 'log.full' ? { ok: { written: [...touched].map((p) => ({ table: p.table, first: p.end })) } } : { fault: plain(fault) }))",
  },
  {
    name: 'log-believed-unsynced',
    breaks:
      'What a restart finds readable is synced before it is believed; else it vanishes, or hides what was committed after it.',
    file: 'adapters/embedded/database.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is text of the source.
    find: 'machine.rewrite(`${path}${log}`)',
    replace: 'log.trim()',
  },
  {
    name: 'journal-mode-unasked',
    breaks: 'A change to the write-ahead log that was not committed is noticed; else commits hang on a deleted journal’s name.',
    file: 'adapters/embedded/database.ts',
    find: "const [{ journal_mode: mode }] = handle.pragma('journal_mode = WAL') as [{ journal_mode: string }]",
    replace: "const mode = handle.pragma('journal_mode = WAL', { simple: true })",
  },
  {
    name: 'read-error-is-damage',
    breaks: 'A page that cannot be read now is no damage: nobody is told to restore or delete a whole file.',
    file: 'adapters/embedded/database.ts',
    find: 'if (isReadError(found?.quick_check))',
    replace: 'if (false)',
  },
  {
    name: 'vectors-any-version',
    breaks: 'A vector file takes no older version in place of a newer one.',
    file: 'adapters/embedded/vector-file.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is text of the source.
    find: 'WHERE excluded.version > ${table}.version`)',
    replace: '`)',
  },
]
