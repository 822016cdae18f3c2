import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** Starts the browser of this machine. @throws Error that says what to install when there is none */
export function openBrowser(): Promise<Browser> {
  const executablePath = process.env['SKYDECK_TEST_BROWSER'] ?? PLACES.find(existsSync)
  if (executablePath === undefined)
    throw new Error('no browser found: install chromium, or name one with SKYDECK_TEST_BROWSER')
  return chromium.launch({ executablePath, args: ARGS })
}
