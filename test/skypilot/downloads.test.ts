import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { extractZip, placeIn } from '../../skypilot/zip-reader.ts'
import { writeZip, type ZipEntry } from '../../skypilot/zip-writer.ts'
import { type RecordedServer, startRecordedServer } from '../support/recorded-server.ts'

const archives = JSON.parse(
  readFileSync(new URL('../recordings/downloads.json', import.meta.url), 'utf8'),
) as Record<'whole' | 'relative', string>

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'skypilot-downloads-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const inFolder = (...parts: string[]): string => join(folder, ...parts)
const text = (...parts: string[]): string => readFileSync(inFolder(...parts), 'utf8')

describe('logs of the server come to a folder of ours', () => {
  let server: RecordedServer
  beforeEach(async () => {
    server = await startRecordedServer()
  })
  afterEach(() => server.close())

  const serves = (archive: Buffer): void =>
    server.on('/download', (response) =>
      response.writeHead(200, { 'content-type': 'application/zip' }).end(archive),
    )

  test.each(['whole', 'relative'] as const)('entries named by their %s path', async (style) => {
    serves(Buffer.from(archives[style], 'base64'))
    server.returns({ 1: '~/.sky/api_server/clients/a1b2c3d4/sky_logs/c7/1-wd' })
    const folders = await server.sky.clusters.downloadLogs({
      name: 'c7',
      jobIds: [1],
      into: inFolder('logs'),
    })
    expect(folders).toEqual(new Map([[1, inFolder('logs', '1-wd')]]))
    expect(text('logs', '1-wd', 'run.log')).toBe('hello\nhello\nhello\n')
    expect(text('logs', '1-wd', 'tasks', 'run.log')).toBe('deep\n')
    expect(server.sent.map(({ path, body }) => [path.split('?')[0], body])).toEqual([
      ['/download_logs', { cluster_name: 'c7', job_ids: ['1'] }],
      ['/api/get', null],
      ['/download', { folder_paths: ['~/.sky/api_server/clients/a1b2c3d4/sky_logs/c7/1-wd'] }],
    ])
  })

  test('of a managed job, and of a service', async () => {
    serves(Buffer.from(archives.relative, 'base64'))
    server.returns({ 7: '/there/1-wd' })
    const job = { name: 'a', controller: true, into: inFolder('job') }
    expect(await server.sky.jobs.downloadLogs(job)).toEqual(new Map([[7, inFolder('job', '1-wd')]]))
    server.returns('/there/1-wd')
    const service = { name: 'llm', targets: ['controller'] as const, into: inFolder('service') }
    expect(await server.sky.serve.downloadLogs(service)).toBe(inFolder('service', '1-wd'))
    expect(server.sent.filter(({ path }) => /_logs|sync/.test(path)).map(({ body }) => body)).toEqual([
      { job_id: null, name: 'a', refresh: false, controller: true },
      { service_name: 'llm', local_dir: '', targets: ['controller'], replica_ids: null, tail: null },
    ])
  })

  test('but not from anywhere else than the folder that was asked for', async () => {
    serves(Buffer.from(archives.whole, 'base64'))
    server.returns({ 1: '/there/2-other' })
    const download = server.sky.clusters.downloadLogs({ name: 'c7', into: inFolder('logs') })
    await expect(download).rejects.toMatchObject({ kind: 'protocol' })
    expect(existsSync(inFolder('logs', '1-wd'))).toBe(false)
  })

  test.each(['', '/', '~', '/there/..'])('%j is no folder to fetch', async (path) => {
    server.returns({ 1: path })
    const download = server.sky.clusters.downloadLogs({ name: 'c7', into: inFolder('logs') })
    await expect(download).rejects.toMatchObject({ kind: 'protocol' })
    expect(server.sent.some((sent) => sent.path.startsWith('/download?'))).toBe(false)
  })
})

describe('an archive that came from elsewhere is not trusted', () => {
  const plain = (name: string): string => name
  const unpack = (zip: string, maxBytes = 1_000_000): Promise<void> =>
    extractZip(zip, inFolder('out'), plain, { maxBytes })

  async function zipOf(...entries: ZipEntry[]): Promise<string> {
    await writeZip(inFolder('made.zip'), entries)
    return inFolder('made.zip')
  }

  function fileNamed(name: string): ZipEntry {
    writeFileSync(inFolder('content'), 'evil')
    return { kind: 'file', name, path: inFolder('content'), mode: 0o100_644 }
  }

  test.each(['../evil', 'a/../../evil', '/evil', 'a\\..\\evil', 'a/..', 'evil\0.txt'])(
    'the name %j leads out of the folder and is refused',
    async (name) => {
      await expect(unpack(await zipOf(fileNamed(name)))).rejects.toMatchObject({ kind: 'protocol' })
      expect(existsSync(inFolder('evil'))).toBe(false)
    },
  )

  test('a link is refused, and nothing is written through it', async () => {
    mkdirSync(inFolder('outside'))
    const zip = await zipOf({ kind: 'link', name: 'l', target: '../outside' }, fileNamed('l/evil'))
    await expect(unpack(zip)).rejects.toMatchObject({ kind: 'protocol' })
    expect(existsSync(inFolder('outside', 'evil'))).toBe(false)
  })

  test('a link that was there before is not written through either', async () => {
    mkdirSync(inFolder('outside'))
    mkdirSync(inFolder('out'))
    symlinkSync('../outside', inFolder('out', 'l'))
    await expect(unpack(await zipOf(fileNamed('l/evil')))).rejects.toMatchObject({ kind: 'protocol' })
    expect(existsSync(inFolder('outside', 'evil'))).toBe(false)
  })

  test('a link in the place of the file is not followed', async () => {
    writeFileSync(inFolder('precious'), 'mine')
    mkdirSync(inFolder('out'))
    symlinkSync('../precious', inFolder('out', 'f'))
    await expect(unpack(await zipOf(fileNamed('f')))).rejects.toMatchObject({ code: 'ELOOP' })
    expect(text('precious')).toBe('mine')
  })

  test('more than is allowed does not come out', async () => {
    writeFileSync(inFolder('zeros'), Buffer.alloc(200_000))
    const zip = await zipOf({ kind: 'file', name: 'z', path: inFolder('zeros'), mode: 0o100_644 })
    await expect(unpack(zip, 100_000)).rejects.toMatchObject({ kind: 'protocol' })
    expect(existsSync(inFolder('out', 'z'))).toBe(false)
  })

  test('a length that is a lie is found out', async () => {
    writeFileSync(inFolder('zeros'), Buffer.alloc(200_000))
    const path = await zipOf({ kind: 'file', name: 'z', path: inFolder('zeros'), mode: 0o100_644 })
    const zip = readFileSync(path)
    // The unpacked length, in the line of the directory.
    zip.writeUInt32LE(1_000, zip.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2])) + 24)
    writeFileSync(path, zip)
    await expect(unpack(path, 100_000)).rejects.toMatchObject({ kind: 'protocol' })
  })

  test('whatever is cut off or changed, it ends in an error that names the archive', async () => {
    const path = await zipOf(fileNamed('a'), fileNamed('b'))
    const zip = readFileSync(path)
    for (let length = 0; length < zip.length; length++) {
      writeFileSync(inFolder('cut.zip'), zip.subarray(0, length))
      await expect(unpack(inFolder('cut.zip'))).rejects.toMatchObject({ kind: 'protocol' })
    }
  })
})

test('a folder is found in names of both styles, and nothing else is', () => {
  const place = placeIn('1-wd')
  expect(['1-wd/', '1-wd/a/b', 'home/x/1-wd/', 'home/x/1-wd/a/b', '1-wd'].map(place)).toEqual([
    '1-wd/',
    '1-wd/a/b',
    '1-wd/',
    '1-wd/a/b',
    '1-wd',
  ])
  expect(() => place('home/x/1-wdx/a')).toThrow('is not of 1-wd')
})
