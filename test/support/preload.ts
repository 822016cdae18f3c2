// Loaded by NODE_OPTIONS into the processes of a desk, to do to worker and console from inside what no test can do from
// outside. What is wanted stands in files of the folder TEST_PRELOAD:
// - `clock`: so many ms the clock of the machine seems to have jumped
// - `cache`: so many workflows the worker keeps; every second each of its threads collects its garbage and writes into
//   `heap-<thread>` how many bytes it keeps, and the first into `workflows` how many workflows there are
// - `kill`: at which activation of a workflow the worker dies, as `before signalWorkflow` or `after resolveActivity`
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isMainThread, threadId, Worker } from 'node:worker_threads'

// oxlint-disable-next-line node/no-process-env -- what is loaded before everything else has no other way in
const folder = process.env['TEST_PRELOAD'] ?? ''
const program = /\/(worker|api)\/main\.js$/.exec(process.argv[1] ?? '')?.[1]

function wanted(name: string): string {
  try {
    return readFileSync(join(folder, name), 'utf8').trim()
  } catch {
    return ''
  }
}

function shiftClock(): void {
  const Real = Date
  let offsetMs = Number(wanted('clock'))
  setInterval(() => {
    offsetMs = Number(wanted('clock'))
  }, 100).unref()
  const now = (): number => Real.now() + offsetMs
  globalThis.Date = new Proxy(Real, {
    apply: () => new Real(now()).toString(),
    construct: (target, args, self) =>
      Reflect.construct(target, args.length === 0 ? [now()] : args, self) as Date,
    get: (target, key) => (key === 'now' ? now : (Reflect.get(target, key) as unknown)),
  })
}

interface Activation {
  jobs: ReadonlyArray<Record<string, unknown>>
}
/** How the worker talks with the threads of its workflows. */
interface Message {
  requestId: number
  input?: { type: string; activation?: Activation }
}

/** The worker hands every activation to a thread by a message, and gets the commands back by another. */
function dieWithinTask(): void {
  const { prototype } = Worker
  const post = Reflect.get(prototype, 'postMessage')
  const listen = Reflect.get(prototype, 'on') as (...args: unknown[]) => Worker
  const awaited = new Set<number>()
  const die = (): void => {
    rmSync(join(folder, 'kill'))
    process.kill(process.pid, 'SIGKILL')
  }
  prototype.postMessage = function (message: Message, ...rest) {
    const [when, job = ''] = wanted('kill').split(' ')
    const isIt = message.input?.activation?.jobs.some((each) => each[job] != null) ?? false
    if (isIt && when === 'before') die()
    if (isIt) awaited.add(message.requestId)
    Reflect.apply(post, this, [message, ...rest])
  }
  const on = function (this: Worker, event: string, hear: (answer: Message) => void): Worker {
    const hears = (answer: Message): void => {
      if (awaited.delete(answer.requestId)) die()
      hear(answer)
    }
    return Reflect.apply(listen, this, [event, event === 'message' ? hears : hear])
  }
  Reflect.set(prototype, 'on', on)
}

async function keepFew(maxCachedWorkflows: number): Promise<void> {
  const { Worker: Tasks } = await import('@temporalio/worker')
  const create = Tasks.create.bind(Tasks)
  Tasks.create = (given) => create(given.workflowBundle ? { ...given, maxCachedWorkflows } : given)
  const { prototype } = Worker
  const post = Reflect.get(prototype, 'postMessage')
  let count = 0
  prototype.postMessage = function (message: Message, ...rest) {
    if (message.input?.type === 'create-workflow') count += 1
    if (message.input?.type === 'dispose-workflow') count -= 1
    Reflect.apply(post, this, [message, ...rest])
  }
  setInterval(() => writeFileSync(join(folder, 'workflows'), String(count)), 1_000).unref()
}

function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  setInterval(() => {
    collect()
    writeFileSync(join(folder, `heap-${threadId}`), String(getHeapStatistics().used_heap_size))
  }, 1_000).unref()
}

const cached = Number(wanted('cache'))
if (cached > 0 && (program === 'worker' || !isMainThread)) collectGarbage()
if (isMainThread && program !== undefined) {
  shiftClock()
  if (program === 'worker') dieWithinTask()
  if (program === 'worker' && cached > 0) await keepFew(cached)
}
