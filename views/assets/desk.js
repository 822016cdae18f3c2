// What the pages cannot do without script: ages that tick, the log that follows, keys. Everything else is htmx or HTML.

// --- ages ---------------------------------------------------------------------------------------------------------
const UNITS = [
  ['d', 86_400, 'h', 3_600],
  ['h', 3_600, 'min', 60],
  ['min', 60, 's', 1],
]

function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  for (const [unit, size, smallUnit, smallSize] of UNITS) {
    if (seconds < size) continue
    const small = Math.floor((seconds % size) / smallSize)
    return `${Math.floor(seconds / size)} ${unit}${small ? ` ${small} ${smallUnit}` : ''}`
  }
  return `${seconds} s`
}

function said({ dataset }, atMs, nowMs) {
  if ('until' in dataset) return atMs > nowMs ? `in ${duration(atMs - nowMs)}` : 'now'
  return duration(nowMs - atMs) + ('age' in dataset ? ' ago' : '')
}

function tick() {
  const nowMs = Date.now()
  for (const time of document.querySelectorAll('time[data-age], time[data-since], time[data-until]')) {
    const text = said(time, Date.parse(time.dateTime), nowMs)
    if (time.textContent !== text) time.textContent = text
  }
}

setInterval(tick, 1_000)

// --- the log ------------------------------------------------------------------------------------------------------
const LOG_CHARS_MAX = 2_000_000
const LOG_RETRY_MS = 2_000
const NEAR_END_PX = 40
let following

/** Streams the log that the page names. Stops scrolling when the person scrolls up, and goes on at the end. */
async function follow(pre) {
  const url = pre.dataset.log
  if (following?.url === url && following.pre === pre) return
  following?.abort.abort()
  const mine = { url, pre, abort: new AbortController() }
  following = mine
  const state = document.querySelector('[data-log-state]')
  const say = (text) => {
    if (state && following === mine) state.textContent = text
  }
  pre.textContent = ''
  try {
    say('reading…')
    const response = await fetch(url, { signal: mine.abort.signal })
    if (!response.ok) throw new Error((await response.json()).detail ?? `HTTP ${response.status}`)
    say(url.includes('follow=true') ? 'following' : '')
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) append(pre, chunk)
    say('')
  } catch (error) {
    if (mine.abort.signal.aborted) return
    say(`cannot be read now: ${error.message}`)
    setTimeout(() => {
      if (following !== mine) return
      following = undefined
      start()
    }, LOG_RETRY_MS)
  }
}

function append(pre, text) {
  const atEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < NEAR_END_PX
  pre.append(text)
  while (pre.textContent.length > LOG_CHARS_MAX && pre.firstChild) pre.firstChild.remove()
  if (atEnd) pre.scrollTop = pre.scrollHeight
}

function start() {
  const pre = document.querySelector('[data-log]')
  if (pre) void follow(pre)
}

document.addEventListener('htmx:after:swap', start)

// What was said of the last click says nothing of this one.
document.addEventListener('htmx:before:request', ({ target }) => {
  if (target.matches('form')) document.querySelector('#notice')?.replaceChildren()
})

// --- theme --------------------------------------------------------------------------------------------------------
function otherTheme() {
  const isDark =
    getComputedStyle(document.documentElement).colorScheme === 'dark' ||
    matchMedia('(prefers-color-scheme: dark)').matches
  const now = document.documentElement.dataset.theme ?? (isDark ? 'dark' : 'light')
  const next = now === 'dark' ? 'light' : 'dark'
  document.documentElement.dataset.theme = next
  localStorage.setItem('skydeck-theme', next)
}

// --- keys ---------------------------------------------------------------------------------------------------------
const rows = () => [...document.querySelectorAll('[data-row]')]

function move(step) {
  const all = rows()
  const at = all.findIndex((row) => row.contains(document.activeElement))
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))]
  next?.querySelector('a')?.focus()
}

/** The buttons of the row in focus, or of the page's one experiment. */
function press(selector) {
  const place = document.activeElement?.closest('[data-row]') ?? document.querySelector('#summary')
  place?.querySelector(`${selector}:not(:disabled)`)?.click()
}

const KEYS = {
  '/': () => document.querySelector('input[type=search]')?.focus(),
  j: () => move(1),
  k: () => move(-1),
  s: () => press('.wish.running'),
  S: () => press('.wish.stopped'),
  t: otherTheme,
}

document.addEventListener('keydown', (event) => {
  const isTyping = event.target.closest('input, textarea, select, [contenteditable]')
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return
  const act = KEYS[event.key]
  if (!act) return
  event.preventDefault()
  act()
})

for (const button of document.querySelectorAll('[data-theme-toggle]')) {
  button.hidden = false
  button.addEventListener('click', otherTheme)
}
tick()
start()
