// The baseline of a sweep: asks for all live jobs as the look-out does, parses the answer, and does nothing with it.
// Prints the CPU time of one listing in ms.
const [endpoint = '', given = '5'] = process.argv.slice(2)
const times = Number(given)
const FIELDS = [
  'job_id',
  'task_id',
  'job_name',
  'status',
  'schedule_state',
  'details',
  'failure_reason',
  'submitted_at',
  'start_at',
  'end_at',
  'recovery_count',
]

/** The number of jobs that were read. */
async function list(): Promise<number> {
  const body = JSON.stringify({ skip_finished: true, all_users: true, fields: FIELDS })
  const asked = await fetch(`${endpoint}/jobs/queue/v2`, { method: 'POST', body })
  await asked.text()
  const id = asked.headers.get('x-skypilot-request-id') ?? ''
  const answer: unknown = JSON.parse(await (await fetch(`${endpoint}/api/get?request_id=${id}`)).text())
  const page: unknown = JSON.parse(String(Reflect.get(Object(answer), 'return_value')))
  const jobs: unknown = Reflect.get(Object(page), 'jobs')
  return Array.isArray(jobs) ? jobs.length : 0
}

for (let warmUp = 0; warmUp < 3; warmUp += 1) await list()
const before = process.cpuUsage()
let jobs = 0
for (let time = 0; time < times; time += 1) jobs = await list()
const { user, system } = process.cpuUsage(before)
process.stdout.write(`${JSON.stringify({ cpuMs: (user + system) / 1_000 / times, jobs })}\n`)
