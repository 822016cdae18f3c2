import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { homedir, hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { cookieFile } from './cookies.ts'
import { LOCAL_ENDPOINT, readConfig } from './endpoint.ts'
import { InvalidError } from './errors.ts'
import type { TransportOptions } from './transport.ts'

/** Variables of the environment, such as `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

export type Connection = Pick<TransportOptions, 'endpoint' | 'token' | 'cookies'> & {
  user: { id: string; name: string }
}

/**
 * Finds the API server, our credentials and who we are as SkyPilot's own client does (0.14.1), ready for
 * `createSkyPilot`:
 * - the address: SKYPILOT_API_SERVER_ENDPOINT, else `api_server.endpoint` of `~/.sky/config.yaml` (another file by
 *   SKYPILOT_GLOBAL_CONFIG), else this machine (its port by SKYPILOT_API_SERVER_LOCAL_PORT)
 * - the token: SKYPILOT_SERVICE_ACCOUNT_TOKEN, else `api_server.service_account_token` of that file
 * - cookies of a log-in: `~/.sky/cookies.txt` (another file by SKYPILOT_API_COOKIE_FILE)
 * - the user: SKYPILOT_USER_ID, else `~/.sky/user_hash`, else the hash that SkyPilot would write there; and
 *   SKYPILOT_USER, else the name of this machine's user
 * @throws InvalidError for a token or a port that cannot be one, or a file that is named but not there
 * @throws Error for a configuration file that is not YAML
 */
export function findConnection(environment: Environment, home: string = homedir()): Connection {
  const config = readConfig(configPath(environment, home))
  const token = checkedToken(environment['SKYPILOT_SERVICE_ACCOUNT_TOKEN'] || config.token)
  const cookies = environment['SKYPILOT_API_COOKIE_FILE']
  return {
    endpoint: environment['SKYPILOT_API_SERVER_ENDPOINT'] || config.endpoint || localEndpoint(environment),
    ...(token === undefined ? {} : { token }),
    cookies: cookieFile(cookies ? expanded(cookies, home) : join(home, '.sky', 'cookies.txt')),
    user: findUser(environment, home),
  }
}

const expanded = (path: string, home: string): string => path.replace(/^~(?=\/|$)/, home)

function configPath(environment: Environment, home: string): string {
  const named = environment['SKYPILOT_GLOBAL_CONFIG']
  if (!named) return join(home, '.sky', 'config.yaml')
  const path = expanded(named, home)
  if (!existsSync(path)) throw new InvalidError(`SKYPILOT_GLOBAL_CONFIG: there is no file ${path}`)
  return path
}

/** SkyPilot takes tokens for its own by how they begin; another would be passed over, and we would be nobody. */
function checkedToken(token: string | undefined): string | undefined {
  if (token !== undefined && !token.startsWith('sky_'))
    throw new InvalidError('the service account token: should begin with "sky_"')
  return token
}

function localEndpoint(environment: Environment): string {
  const port = environment['SKYPILOT_API_SERVER_LOCAL_PORT']
  if (port === undefined) return LOCAL_ENDPOINT
  if (!/^\d{1,5}$/.test(port))
    throw new InvalidError(`SKYPILOT_API_SERVER_LOCAL_PORT: should be a port, not ${JSON.stringify(port)}`)
  return LOCAL_ENDPOINT.replace(/\d+$/, port)
}

const USER_ID = /^[a-zA-Z0-9][a-zA-Z0-9-]*$/

function findUser(environment: Environment, home: string): { id: string; name: string } {
  const osName = nameOfUser(environment)
  const ids = [environment['SKYPILOT_USER_ID'], userHashIn(join(home, '.sky', 'user_hash'))]
  const id = ids.find((each) => each !== undefined && USER_ID.test(each))
  return { id: id ?? userHashOf(osName, hostname()), name: environment['SKYPILOT_USER'] ?? osName }
}

function userHashIn(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** As Python's `getpass.getuser`. */
function nameOfUser(environment: Environment): string {
  const named = ['LOGNAME', 'USER', 'LNAME', 'USERNAME'].find((key) => environment[key])
  return (named === undefined ? undefined : environment[named]) ?? userInfo().username
}

const md5 = (text: string): string => createHash('md5').update(text).digest('hex')

/** The id that SkyPilot gives to a user of a machine when it first meets them (`sky/utils/common_utils.py`). */
export const userHashOf = (user: string, host: string): string =>
  md5(`${user}-${md5(host).slice(-4)}`).slice(0, 8)
