import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { ignoredIn } from '../../skypilot/ignored.ts'
import { entriesOf } from '../../skypilot/packing.ts'
import { Task } from '../../skypilot/task.ts'
import { extractZip } from '../../skypilot/zip-reader.ts'
import { writeZip } from '../../skypilot/zip-writer.ts'
import { type RecordedServer, startRecordedServer } from '../support/recorded-server.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'skypilot-uploads-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const inFolder = (...parts: string[]): string => join(folder, ...parts)

function put(path: string, text = 'x'): string {
  mkdirSync(dirname(inFolder(path)), { recursive: true })
  writeFileSync(inFolder(path), text)
  return inFolder(path)
}

/** Names below a folder that would be sent. */
const namesIn = async (root: string): Promise<string[]> =>
  (await entriesOf([inFolder(root)])).map(({ name }) => name.slice(inFolder(root).length))

describe('what stays behind', () => {
  const { files, gone } = JSON.parse(
    readFileSync(new URL('../recordings/skyignore.json', import.meta.url), 'utf8'),
  ) as { files: string[]; gone: Record<string, string[]> }

  test.each(Object.entries(gone))('%j in .skyignore is read as SkyPilot reads it', async (line, expected) => {
    for (const file of files) put(file)
    put('.skyignore', `# what to leave\n\n${line}\n`)
    const sent = new Set((await entriesOf([folder])).map(({ name }) => name.slice(folder.length)))
    expect(files.filter((file) => !sent.has(file)).sort()).toEqual(expected)
  })

  test('without a .skyignore it is what git ignores, in submodules too, and tracked files come along', async () => {
    const git = (...command: string[]): void => {
      const identity = ['-c', 'user.name=a', '-c', 'user.email=a@example.invalid']
      const settings = [...identity, '-c', 'protocol.file.allow=always', '-c', 'init.defaultBranch=main']
      execFileSync('git', ['-C', inFolder('w'), ...settings, ...command], { stdio: 'ignore' })
    }
    for (const path of ['.gitignore', 'a.log', 'tracked.log', 'build/x', 'keep/y']) put(`w/${path}`)
    put('w/.gitignore', '*.log\nbuild/\n')
    git('init')
    git('add', '--force', 'tracked.log', 'keep')
    git('commit', '-m', 'all')
    git('init', 'sub')
    put('w/sub/.gitignore', 'secret\n')
    put('w/sub/secret')
    put('w/sub/kept')
    git('-C', 'sub', 'add', '.')
    git('-C', 'sub', 'commit', '-m', 'all')
    git('submodule', 'add', './sub', 'sub')
    const names = (await namesIn('w')).filter((name) => !name.includes('.git'))
    expect(names.sort()).toEqual(['', 'keep/', 'keep/y', 'sub/', 'sub/kept', 'tracked.log'])
  })

  test('sockets in a folder stay behind, and are not mounted themselves', async () => {
    put('w/x')
    const socket = createServer()
    await new Promise<void>((resolve) => socket.listen(inFolder('w', 'socket'), resolve))
    expect(await namesIn('w')).toEqual(['', 'x'])
    await expect(entriesOf([inFolder('w', 'socket')])).rejects.toMatchObject({ kind: 'invalid' })
    await new Promise((resolve) => socket.close(resolve))
  })

  test('a .gitignore outside of a repository ignores nothing', async () => {
    put('w/.gitignore', '*.log\n')
    put('w/a.log')
    const isIgnored = await ignoredIn(inFolder('w'))
    expect(isIgnored('a.log', false)).toBe(false)
  })
})

describe('links', () => {
  test('stay links where they point into the folder, also when they are written as a whole path', async () => {
    put('w/a/real')
    symlinkSync('a/real', inFolder('w', 'short'))
    symlinkSync(inFolder('w', 'a'), inFolder('w', 'long'))
    symlinkSync('nowhere', inFolder('w', 'dangling'))
    const links = (await entriesOf([inFolder('w')])).filter((entry) => entry.kind === 'link')
    expect(links.map(({ name, target }) => [name.slice(inFolder('w').length), target])).toEqual([
      ['dangling', 'nowhere'],
      ['long/', 'a'],
      ['short', 'a/real'],
    ])
  })

  test.each(['../secret', '/etc/passwd', 'inner/../../secret'])(
    'to %s leads out of the folder: it is not followed, and named',
    async (target) => {
      put('secret')
      put('w/inner/x')
      symlinkSync(target, inFolder('w', 'bad'))
      await expect(entriesOf([inFolder('w')])).rejects.toThrow(
        `${inFolder('w', 'bad')} points out of the folder`,
      )
    },
  )

  test('that lead out by way of another link are found out', async () => {
    put('outside/secret')
    put('w/x')
    symlinkSync('../outside', inFolder('w', 'first'))
    put('w/.skyignore', '/first\n')
    symlinkSync('first/secret', inFolder('w', 'second'))
    await expect(entriesOf([inFolder('w')])).rejects.toThrow('points out of the folder')
  })

  test("that lead out but stay behind are nobody's business", async () => {
    put('w/x')
    put('w/.skyignore', 'bad\n')
    symlinkSync('/etc/passwd', inFolder('w', 'bad'))
    expect(await namesIn('w')).toEqual(['', '.skyignore', 'x'])
  })

  test('that are the folder itself are taken for the folder', async () => {
    put('real/x')
    symlinkSync('real', inFolder('w'))
    expect(await namesIn('w')).toEqual(['', 'x'])
  })
})

describe('the zip', () => {
  test('has the id that SkyPilot 0.14.1 computes for it', async () => {
    const path = put('main.py', 'print(42)\n')
    const id = await writeZip(inFolder('a.zip'), [
      { kind: 'file', name: 'skydeck/exp-7/main.py', path, mode: 0o100_644 },
      { kind: 'folder', name: 'skydeck/exp-7/', mode: 0o40_755 },
      { kind: 'link', name: 'skydeck/exp-7/ünï.py', target: 'main.py' },
    ])
    expect(id).toBe('bbfcd8371e962e607957573ac48bb70555a84335e5a0c1ac7a77aa21d6dd458e')
  })

  test('holds files of any content, and comes out as it went in', async () => {
    const big = Buffer.alloc(3_000_000, 'many words that pack well ')
    mkdirSync(inFolder('w'))
    writeFileSync(inFolder('w', 'big'), big)
    writeFileSync(inFolder('w', 'none'), '')
    writeFileSync(inFolder('w', 'übung [1].txt'), 'ü')
    chmodSync(inFolder('w', 'none'), 0o700)
    await writeZip(inFolder('a.zip'), await entriesOf([inFolder('w')]))
    await extractZip(inFolder('a.zip'), inFolder('out'), (name) => name, { maxBytes: 10_000_000 })
    const out = (name: string): string => inFolder('out', inFolder('w', name))
    expect(readFileSync(out('big')).equals(big)).toBe(true)
    expect(readFileSync(out('none'), 'utf8')).toBe('')
    expect(readFileSync(out('übung [1].txt'), 'utf8')).toBe('ü')
  })

  test('has the same id however often it is made, and another for another content', async () => {
    put('w/a', '1')
    const first = await writeZip(inFolder('1.zip'), await entriesOf([inFolder('w')]))
    const second = await writeZip(inFolder('2.zip'), await entriesOf([inFolder('w')]))
    put('w/a', '2')
    const third = await writeZip(inFolder('3.zip'), await entriesOf([inFolder('w')]))
    expect(second).toBe(first)
    expect(third).not.toBe(first)
    expect(readFileSync(inFolder('1.zip')).equals(readFileSync(inFolder('2.zip')))).toBe(true)
  })
})

describe('to the server', () => {
  let server: RecordedServer
  let exists: boolean
  beforeEach(async () => {
    exists = false
    server = await startRecordedServer()
    server.on('/upload_v2/blob', (response) => response.end(JSON.stringify({ exists })))
    server.on('/upload_v2', (response) => response.end('{"status":"completed","missing_chunks":null}'))
  })
  afterEach(() => server.close())

  const TASK = `name: a # kept
workdir: w
file_mounts:
  /data: ./data.bin
  /bucket: s3://bucket/x
  /mount:
    source: [more]
    mode: COPY
service:
  tls: {keyfile: key.pem, certfile: /nowhere/but/absolute.pem}
`

  test('a task gets its local paths made absolute, and the mapping that the server reads them by', async () => {
    for (const path of ['w/main.py', 'data.bin', 'more', 'key.pem']) put(path)
    const task = TASK.replace('/nowhere/but/absolute.pem', put('cert.pem'))
    const uploaded = await server.sky.uploadMounts({ task, folder })
    const paths = ['w', 'data.bin', 'more', 'key.pem', 'cert.pem'].map((path) => inFolder(path))
    expect(uploaded.task).toContain('# kept')
    expect(parse(uploaded.task)).toEqual({
      name: 'a',
      workdir: paths[0],
      file_mounts: {
        '/data': paths[1],
        '/bucket': 's3://bucket/x',
        '/mount': { source: [paths[2]], mode: 'COPY' },
      },
      service: { tls: { keyfile: paths[3], certfile: paths[4] } },
      file_mounts_mapping: Object.fromEntries(paths.map((path) => [path, path])),
    })
    const id = uploaded.fileMountsBlobId ?? ''
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(
      server.sent.map(({ method, path }) => `${method} ${path.replace(/size_bytes=\d+/, 'size_bytes=')}`),
    ).toEqual([
      `GET /upload_v2/blob?user_hash=a1b2c3d4&blob_id=${id}&size_bytes=`,
      `POST /upload_v2?user_hash=a1b2c3d4&upload_id=${id}&chunk_index=0&total_chunks=1`,
    ])
    writeFileSync(inFolder('sent.zip'), server.sent[1]?.bytes ?? '')
    await extractZip(inFolder('sent.zip'), inFolder('out'), (name) => name, { maxBytes: 1_000_000 })
    expect(readFileSync(inFolder('out', inFolder('w/main.py')), 'utf8')).toBe('x')
  })

  test('what is no path stays as it is written, since the server reads some of it otherwise than we', async () => {
    put('w/a')
    const rest = 'envs: {A: 1E5, B: 12345678901234567890, C: yes, D: 0123, E: }\nrun: |\n  echo  two\n\n'
    const { task } = await server.sky.uploadMounts({ task: `${rest}workdir: w`, folder })
    const path = JSON.stringify(inFolder('w'))
    expect(task).toBe(`file_mounts_mapping: {${path}:${path}}\n${rest}workdir: ${path}`)
  })

  test('a task as JSON, or as a value, is read too', async () => {
    put('w/a')
    const { task } = await server.sky.uploadMounts({
      task: JSON.stringify({ workdir: 'w', run: 'true' }),
      folder,
    })
    const path = inFolder('w')
    expect(JSON.parse(task)).toEqual({ workdir: path, run: 'true', file_mounts_mapping: { [path]: path } })
    const typed = await server.sky.uploadMounts({ task: new Task({ workdir: 'w' }), folder })
    expect(parse(typed.task)).toEqual({ workdir: path, file_mounts_mapping: { [path]: path } })
  })

  test('a task that was uploaded before is not uploaded again', async () => {
    put('w/a')
    const once = await server.sky.uploadMounts({ task: 'workdir: w', folder })
    await expect(server.sky.uploadMounts({ task: once.task })).rejects.toMatchObject({ kind: 'invalid' })
  })

  test('an exec takes only the workdir along, and each task of a pipeline its own', async () => {
    put('w/a')
    put('v/b')
    const task = 'name: p\n---\nworkdir: w\nfile_mounts: {/x: nothing}\n---\nworkdir: v\n'
    const uploaded = await server.sky.uploadMounts({ task, folder, workdirOnly: true })
    const [, first, second] = uploaded.task.split('---\n').map((each) => parse(each) as unknown)
    expect(first).toMatchObject({
      workdir: inFolder('w'),
      file_mounts: { '/x': 'nothing' },
      file_mounts_mapping: { [inFolder('w')]: inFolder('w') },
    })
    expect(second).toMatchObject({ workdir: inFolder('v') })
  })

  test('what the server has is not sent again', async () => {
    exists = true
    put('w/a')
    await server.sky.uploadMounts({ task: 'workdir: w', folder })
    expect(server.sent.map(({ method }) => method)).toEqual(['GET'])
  })

  test('a task that needs nothing of this machine is left as it is', async () => {
    const task = 'workdir: {url: https://example.invalid/repo}\nfile_mounts: {/b: gs://bucket}\n'
    expect(await server.sky.uploadMounts({ task })).toEqual({ task, fileMountsBlobId: null })
    expect(server.sent).toEqual([])
  })

  test('a path that does not exist is named before anything is sent', async () => {
    const upload = server.sky.uploadMounts({ task: 'workdir: ~/no/such/folder' })
    await expect(upload).rejects.toThrow(`${join(homedir(), 'no/such/folder')} does not exist`)
    expect(server.sent).toEqual([])
  })

  test('large uploads go in pieces, and a piece that did not arrive is sent again', async () => {
    mkdirSync(inFolder('w'))
    const noise = Buffer.alloc(20 * 1024 * 1024)
    for (let at = 0, x = 1; at < noise.length; at += 4)
      noise.writeUInt32LE((x = (x * 1_664_525 + 1_013_904_223) >>> 0), at)
    writeFileSync(inFolder('w', 'noise'), noise)
    let failures = 1
    server.on('/upload_v2', (response, { path }) => {
      if (failures-- > 0) return response.writeHead(503).end('{"detail":"draining"}')
      const status = path.includes('chunk_index=1') ? 'completed' : 'uploading'
      return response.end(JSON.stringify({ status, missing_chunks: null }))
    })
    await server.sky.uploadMounts({ task: 'workdir: w', folder })
    const pieces = server.sent.filter(({ method }) => method === 'POST')
    expect(pieces.map(({ path }) => /chunk_index=\d&total_chunks=\d/.exec(path)?.[0])).toEqual([
      'chunk_index=0&total_chunks=2',
      'chunk_index=0&total_chunks=2',
      'chunk_index=1&total_chunks=2',
    ])
    const whole = Buffer.concat(pieces.slice(1).map(({ bytes }) => bytes))
    writeFileSync(inFolder('sent.zip'), whole)
    await extractZip(inFolder('sent.zip'), inFolder('out'), (name) => name, { maxBytes: 100_000_000 })
    expect(readFileSync(inFolder('out', inFolder('w/noise'))).equals(noise)).toBe(true)
  })

  test('an upload that is refused says so, and nothing is tried again', async () => {
    put('w/a')
    server.on('/upload_v2', (response) => response.writeHead(413).end('{"detail":"too large"}'))
    const upload = server.sky.uploadMounts({ task: 'workdir: w', folder })
    await expect(upload).rejects.toMatchObject({ kind: 'rejected' })
    expect(server.sent).toHaveLength(2)
  })
})
