import { once } from 'node:events'
import { createServer, type Server, type Socket, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Proxy } from './proxy.ts'

let echo: Server
let proxy: Proxy
let heard: string

beforeEach(async () => {
  heard = ''
  echo = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (piece) => {
      heard += piece.toString()
      socket.write(piece)
    })
  })
  echo.listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const address = echo.address()
  proxy = await Proxy.listen(typeof address === 'object' && address ? address.port : 0)
})

afterEach(async () => {
  await proxy.close()
  echo.close()
})

const open = async (): Promise<Socket & { got: string; isBroken: boolean }> => {
  const socket = Object.assign(connect(proxy.port, '127.0.0.1'), { got: '', isBroken: false })
  socket.on('data', (piece) => (socket.got += piece.toString()))
  socket.on('error', () => (socket.isBroken = true))
  socket.on('close', () => (socket.isBroken = true))
  await once(socket, 'connect')
  return socket
}

/** Long enough for bytes to arrive on one machine, were they let through. */
const MOMENT_MS = 200

test('what is sent arrives, and so does the answer', async () => {
  const socket = await open()
  socket.write('hello')
  await expect.poll(() => socket.got).toBe('hello')
})

test('while all is dropped nothing arrives; afterwards it does, even when the sender is gone', async () => {
  const [patient, gone] = [await open(), await open()]
  proxy.set('drop')
  patient.write('patient')
  gone.write('zombie')
  await sleep(MOMENT_MS)
  gone.destroy()
  await sleep(MOMENT_MS)
  expect(heard).toBe('')
  proxy.set('pass')
  await expect.poll(() => patient.got).toBe('patient')
  await expect.poll(() => heard).toContain('zombie')
})

test('a half-open link takes connections and never answers; later the first byte breaks them', async () => {
  const before = await open()
  proxy.set('half-open')
  const during = await open()
  before.write('a')
  during.write('b')
  await sleep(MOMENT_MS)
  expect([before.isBroken, during.isBroken, heard]).toEqual([false, false, ''])
  proxy.set('pass')
  await expect.poll(() => [before.isBroken, during.isBroken]).toEqual([true, true])
  const after = await open()
  after.write('c')
  await expect.poll(() => after.got).toBe('c')
  expect(heard).toBe('c')
})

test('late is late, and in order', async () => {
  const socket = await open()
  proxy.set('delay')
  socket.write('one ')
  await sleep(MOMENT_MS)
  expect(heard).toBe('')
  socket.write('two')
  await expect.poll(() => socket.got, { timeout: 10_000 }).toBe('one two')
})

test('a reset breaks what is open and what is opened', async () => {
  const socket = await open()
  proxy.set('reset')
  await expect.poll(() => socket.isBroken).toBe(true)
  const refused = await open().catch(() => undefined)
  await expect.poll(() => refused?.isBroken ?? true).toBe(true)
})
