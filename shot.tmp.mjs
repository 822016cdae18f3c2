import { chromium } from 'playwright-core'
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--headless','--no-sandbox','--disable-gpu','--disable-quic','--no-first-run','--disable-background-networking','--disable-component-update','--disable-sync'] })
const base = process.argv[2] ?? 'http://127.0.0.1:7801'
const pages = (process.argv[3] ?? '/,/e/1,/e/2,/new,/activity').split(',')
for (const [scheme,width] of [['light',1440],['dark',1440],['light',390]]) {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme })
  page.on('console', (m) => { if (m.type()==='error'||m.type()==='warning') console.log(scheme, m.text()) })
  page.on('pageerror', (e) => console.log('pageerror', e.message))
  for (const p of pages) { await page.goto(base + p, { waitUntil: 'load' }); await page.waitForTimeout(900); const f=`/tmp/shots/${p.replace(/\W+/g,'_')}-${scheme}-${width}.png`; await page.screenshot({ path: f }); console.log(f) }
}
await browser.close()
