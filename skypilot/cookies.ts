import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'

interface Cookie {
  domain: string
  withSubdomains: boolean
  path: string
  isSecure: boolean
  expiresAtMs: number
  name: string
  value: string
}

// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u001f\u007f]/

/**
 * The cookies of a file in Netscape's format, as SkyPilot's own client keeps its log-in: for an address, the header to
 * send or null. The file is read at each call, so that a new log-in counts at once; without the file there are none.
 */
export const cookieFile =
  (path: string, now: () => number = Date.now) =>
  (url: URL): string | null => {
    let text: string
    try {
      text = readFileSync(path, 'utf8')
    } catch {
      return null
    }
    return cookieHeader(text, url, now())
  }

/** Picks from the text of a cookie file what belongs to an address: its host, its path, its scheme, not expired. */
export function cookieHeader(text: string, url: URL, nowMs: number): string | null {
  const fitting = text
    .split(/\r?\n/)
    .map(cookieOf)
    .filter((cookie) => cookie !== null)
    .filter((cookie) => cookie.expiresAtMs > nowMs && fits(cookie, url))
    // The closest path first, as browsers send them.
    .toSorted((one, other) => other.path.length - one.path.length)
  if (fitting.length === 0) return null
  return fitting.map(({ name, value }) => (name === '' ? value : `${name}=${value}`)).join('; ')
}

function cookieOf(line: string): Cookie | null {
  // Cookies that scripts cannot read are marked by what looks like a comment.
  const fields = line.replace(/^#HttpOnly_/, '').split('\t')
  const isComment = line.startsWith('#') && !line.startsWith('#HttpOnly_')
  return isComment || fields.length < 7 ? null : cookieIn(fields)
}

function cookieIn(fields: readonly string[]): Cookie | null {
  const [domain = '', withSubdomains, path = '', isSecure, expires = '', name = '', ...rest] = fields
  const value = rest.join('\t')
  // A cookie without an end lives as long as the program that got it: another one does not take it over.
  const expiresAtMs = /^\d+(?:\.\d+)?$/.test(expires) ? Number(expires) * 1_000 : 0
  if (domain === '' || CONTROL.test(name + value)) return null
  return {
    domain: domain.toLowerCase().replace(/^\./, ''),
    withSubdomains: withSubdomains === 'TRUE' || domain.startsWith('.'),
    path,
    isSecure: isSecure === 'TRUE',
    expiresAtMs,
    name,
    value,
  }
}

function fits(cookie: Cookie, url: URL): boolean {
  if (cookie.isSecure && url.protocol !== 'https:') return false
  return isOfHost(cookie, url.hostname.replace(/^\[(.*)\]$/, '$1')) && isOfPath(cookie.path, url.pathname)
}

function isOfHost({ domain, withSubdomains }: Cookie, host: string): boolean {
  // Python, which writes the file, files hosts without a dot under `.local`.
  if (host === domain || (!host.includes('.') && `${host}.local` === domain)) return true
  return withSubdomains && isIP(host) === 0 && host.endsWith(`.${domain}`)
}

const isOfPath = (wanted: string, path: string): boolean =>
  path === wanted || path.startsWith(wanted.endsWith('/') ? wanted : `${wanted}/`)
