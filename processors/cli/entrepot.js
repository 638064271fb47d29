#!/usr/bin/env node
// The launcher: plain JavaScript that any Node since 16 can read. It runs the CLI here when this Node can (>= 22.18 strips types
// itself), else in the Node that `npm ci` brought along, passing on arguments, streams, signals and the exit code.
import { spawn } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(import.meta.url)

const canRun = () => {
  const [major, minor] = process.versions.node.split('.').map(Number)
  return major > 22 || (major === 22 && minor >= 18)
}

/** The pinned Node of the nearest node_modules above this file that has one. */
const pinnedNode = () => {
  for (let folder = dirname(here); ; folder = dirname(folder)) {
    const modules = join(folder, 'node_modules')
    if (existsSync(modules)) {
      const packages = readdirSync(modules).filter((name) => /^node-(bin-)?(linux|darwin|win)-/.test(name))
      const places = packages.flatMap((name) => [join(modules, name, 'bin', 'node'), join(modules, name, 'bin', 'node.exe')])
      const found = [...places, join(modules, '.bin', 'node')].find((path) => existsSync(path))
      if (found !== undefined) return found
    }
    if (dirname(folder) === folder) return undefined
  }
}

const runHere = async () => {
  const built = new URL('./main.js', import.meta.url)
  const { main } = await import(existsSync(built) ? built.href : new URL('./main.ts', import.meta.url).href)
  await main()
}

const runThere = (node) => {
  // The channel tells the child when this process is gone, even by kill -9, so that no orphan holds the data folder.
  const child = spawn(node, [...process.execArgv, here, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, LAUNCHED_BY_ENTREPOT: '1' },
  })
  const forward = (signal) => {
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'SIGCONT']
  for (const signal of signals) if (signal in constants.signals) process.on(signal, forward)
  child.on('error', (error) => {
    process.stderr.write(`entrepot: ${node} cannot be started: ${error.message}\n`)
    process.exit(78)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    for (const one of signals) process.off(one, forward)
    process.kill(process.pid, signal)
    // Where the signal does not end this process, the shell's convention stands for it.
    setTimeout(() => process.exit(128 + (constants.signals[signal] ?? 0)), 200)
  })
}

if (canRun()) await runHere()
else if (process.env.LAUNCHED_BY_ENTREPOT === '1') {
  process.stderr.write(
    `entrepot: the Node in node_modules is ${process.versions.node}, but 22.18 or newer is needed: run \`npm ci\`.\n`,
  )
  process.exit(78)
} else {
  const node = pinnedNode()
  if (node === undefined) {
    process.stderr.write(
      `entrepot: this is Node ${process.versions.node}, but 22.18 or newer is needed: run \`npm ci\`, which brings one along, or install it.\n`,
    )
    process.exit(78)
  }
  runThere(node)
}
