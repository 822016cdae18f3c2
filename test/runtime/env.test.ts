import { describe, expect, it } from 'vitest'
import { SettingsError, describeSettings, readOptions, readSettings, redactUrl } from '../../runtime/env.ts'

function problemsOf(env: Record<string, string>, options = {}): readonly string[] {
  try {
    readSettings(env, options)
    return []
  } catch (error) {
    if (error instanceof SettingsError) return error.problems
    throw error
  }
}

describe('readSettings', () => {
  it('needs nothing', () => {
    const settings = readSettings({ HOME: '/home/ada' })
    expect(settings).toMatchObject({
      home: '/home/ada/.skydeck',
      host: '127.0.0.1',
      port: 7777,
      logLevel: 'info',
      pollIntervalMs: 1000,
      reconcileIntervalMs: 60_000,
      databaseUrl: null,
      temporalAddress: null,
      temporalNamespace: 'default',
      skypilotEndpoint: null,
      fenceMode: 'try',
      fenceUrl: null,
      fenceSecret: null,
      launchesInFlight: 4,
      temporalPort: 7233,
      postgresPort: 54_329,
    })
    expect(settings.given.size).toBe(0)
  })

  it('looks at a real SkyPilot less often, unless told how often', () => {
    const real = { SKYPILOT_API_SERVER_ENDPOINT: 'https://sky.example/' }
    expect(readSettings(real)).toMatchObject({
      pollIntervalMs: 10_000,
      skypilotEndpoint: 'https://sky.example',
    })
    expect(readSettings({ ...real, SKYDECK_POLL_INTERVAL: '0.25' }).pollIntervalMs).toBe(250)
  })

  it('takes an empty variable as unset and knows what was set', () => {
    const settings = readSettings({ SKYDECK_PORT: ' ', SKYDECK_TEMPORAL_PORT: '7300' })
    expect(settings.port).toBe(7777)
    expect([...settings.given]).toEqual(['SKYDECK_TEMPORAL_PORT'])
  })

  it('lets the command line win, and stays silent about variables of others', () => {
    const env = { SKYDECK_PORT: 'nonsense', SKYDECK_URL: 'http://x', SKYDECK_SOMETHING_ELSE: '1' }
    expect(readSettings(env, { port: '8080' }).port).toBe(8080)
  })

  it('expands ~ in the home folder', () => {
    expect(readSettings({ HOME: '/home/ada', SKYDECK_HOME: '~/desk' }).home).toBe('/home/ada/desk')
  })

  it('reports every problem at once, each by the name it came under', () => {
    const problems = problemsOf(
      { SKYDECK_PORT: '0', TEMPORAL_ADDRESS: 'temporal', SKYDECK_POLL_INTERVAL: '-1' },
      { logLevel: 'loud' },
    )
    expect(problems).toHaveLength(4)
    expect(problems.join('\n')).toMatch(/SKYDECK_PORT is "0".*1 to 65535/)
    expect(problems.join('\n')).toMatch(/--log-level is "loud".*debug, info, warn, error/)
    expect(problems.join('\n')).toMatch(/TEMPORAL_ADDRESS.*host:port/)
  })

  it.each([
    ['SKYDECK_PROT', 'SKYDECK_PORT'],
    ['SKYDECK_HOM', 'SKYDECK_HOME'],
    ['SKYDECK_HOSTS', 'SKYDECK_HOST'],
    ['SKYDECK_LOCAL_SLOTZ', 'SKYDECK_LOCAL_SLOTS'],
  ])('asks whether %s means %s', (given, meant) => {
    expect(problemsOf({ [given]: '1' })).toEqual([`${given} is not a setting. Did you mean ${meant}?`])
  })

  it('never repeats a secret in a problem', () => {
    const [problem] = problemsOf({ SKYDECK_DATABASE_URL: 'mysql://ada:hunter2@db/x' })
    expect(problem).toMatch(/^SKYDECK_DATABASE_URL must be/)
    expect(problem).not.toContain('hunter2')
    const [short] = problemsOf({ SKYDECK_FENCE_SECRET: 'hunter3' })
    expect(short).toMatch(/^SKYDECK_FENCE_SECRET must be at least 16/)
    expect(short).not.toContain('hunter3')
  })
})

describe('describeSettings', () => {
  it('shows no token and no password', () => {
    const shown = JSON.stringify(
      describeSettings(
        readSettings({
          SKYDECK_DATABASE_URL: 'postgres://ada:hunter2@db:5432/skydeck',
          SKYPILOT_API_SERVER_ENDPOINT: 'https://ada:hunter3@sky.example',
          SKYPILOT_SERVICE_ACCOUNT_TOKEN: 'sky_hunter4',
          SKYDECK_FENCE_SECRET: 'hunter5-hunter6-hunter7',
        }),
      ),
    )
    expect(shown).not.toMatch(/hunter/)
    expect(shown).toContain('postgres://ada:redacted@db:5432/skydeck')
  })

  it('hides secrets in the query of an address too', () => {
    expect(redactUrl('postgres://db/x?user=ada&password=hunter2')).not.toContain('hunter2')
    expect(redactUrl('no address')).toBe('[redacted]')
  })
})

describe('readOptions', () => {
  it('reads the four options', () => {
    expect(readOptions(['--host', '::1', '--port=1', '--home', 'h', '--log-level', 'warn'])).toEqual({
      host: '::1',
      port: '1',
      home: 'h',
      logLevel: 'warn',
    })
    expect(readOptions([])).toEqual({})
  })

  it.each([[['--prot', '1']], [['serve']], [['--port']]])('refuses %j and lists the options', (args) => {
    expect(() => readOptions(args)).toThrow(/The options are --home, --host, --port, --log-level/)
  })
})
