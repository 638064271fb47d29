import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { freePorts, startDaemon, stopPid, untilHealthy } from './daemon.ts'

let folder: string
let log_file: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'entrepot-daemon-'))
  log_file = join(folder, 'log')
})
afterAll(() => rmSync(folder, { recursive: true }))

const start = (script: string) => startDaemon({ command: process.execPath, args: ['-e', script], log_file })
const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    }).once('error', () => resolve(false))
  })

test('a daemon is found healthy, logs to its file, and stops', async () => {
  const [port] = await freePorts(1)
  const daemon = start(`console.log('hello'); require('net').createServer().listen(${port}, '127.0.0.1')`)
  await untilHealthy('Listener', daemon, log_file, 20_000, () => listens(port!))
  expect(daemon.alive()).toBe(true)
  await daemon.stop()
  await daemon.stop()
  expect(daemon.alive()).toBe(false)
  expect(await listens(port!)).toBe(false)
  expect(readFileSync(log_file, 'utf8')).toContain('hello')
}, 30_000)

test('one that ends while starting says so with the end of its log', async () => {
  const daemon = start(`console.error('no such setting'); process.exit(3)`)
  await expect(untilHealthy('Broken', daemon, log_file, 20_000, async () => false)).rejects.toThrow(
    /Broken ended while starting[\s\S]*no such setting/,
  )
}, 30_000)

test('a daemon can be killed, and be stopped by its pid alone', async () => {
  const killed = start('setInterval(() => {}, 1000)')
  await killed.kill9()
  expect(killed.alive()).toBe(false)
  const stopped = start('setInterval(() => {}, 1000)')
  await stopPid(stopped.pid)
  await stopped.stop()
  expect(stopped.alive()).toBe(false)
}, 30_000)

test('free ports are different and free', async () => {
  const ports = await freePorts(3)
  expect(new Set(ports).size).toBe(3)
  for (const port of ports) expect(await listens(port)).toBe(false)
})
