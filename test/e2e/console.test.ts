import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { openBrowser } from '../support/browser.ts'
import { TestDesk } from '../support/desk.ts'

let desk: TestDesk
let browser: Browser
const problems: string[] = []

beforeAll(async () => {
  ;[desk, browser] = await Promise.all([TestDesk.create(), openBrowser()])
})
afterAll(async () => {
  await browser?.close()
  await desk?.dispose()
})

async function open(path = '/', options: { javaScriptEnabled?: boolean } = {}): Promise<Page> {
  const page = await browser.newPage(options)
  page.setDefaultTimeout(20_000)
  onTestFailed(async () => {
    // oxlint-disable-next-line no-console -- the way to a failure in a browser is long
    if (!page.isClosed()) console.log(page.url(), await page.locator('body').innerText(), await desk.story())
  })
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('console', (message) => {
    // A refused form is a 422, a page out of date a 409, and streams break while the desk restarts: both belong to these tests.
    if (message.type() === 'error' && !/409|422|sse|ERR_/.test(message.text())) problems.push(message.text())
  })
  await page.goto(desk.url + path)
  return page
}

const status = (page: Page, word: string) =>
  page.locator('#summary .status > span:not(.wanted)', { hasText: word })

async function create(page: Page, name: string, command: string): Promise<void> {
  await page.getByRole('link', { name: 'New experiment' }).click()
  await page.getByLabel('Name', { exact: true }).fill(name)
  await page.getByLabel('Command', { exact: true }).fill(command)
  await page.getByRole('button', { name: 'Create' }).click()
  await page.getByRole('heading', { name, exact: true }).waitFor()
}

describe('the console in a browser', () => {
  test('create, watch the output arrive, see the end: without one reload', async () => {
    const page = await open()
    await page.getByText('Nothing here yet').waitFor()
    await page.getByRole('link', { name: 'Run my own command' }).click()
    await page.getByLabel('Name', { exact: true }).fill('watched')
    await page
      .getByLabel('Command', { exact: true })
      .fill('for i in 1 2 3 4 5 6; do echo "step $i at $(date +%s%N)"; sleep 0.5; done; exit 3')
    await page.getByText('What will run').waitFor()
    await expect.poll(() => page.locator('#preview pre').textContent()).toContain('for i in 1 2 3')
    await page.getByRole('button', { name: 'Create' }).click()
    await status(page, 'running').waitFor()
    let loads = 0
    page.on('load', () => (loads += 1))
    await page.locator('.output', { hasText: 'step 1' }).waitFor()
    await page.locator('.output', { hasText: 'step 5' }).waitFor()
    // The fifth line says when it was printed; it has to be here within a second of that.
    const text = (await page.locator('.output').textContent()) ?? ''
    const printedAtMs = Number(/step 5 at (\d+)/.exec(text)![1]) / 1e6
    expect(Date.now() - printedAtMs).toBeLessThan(2_000)
    await status(page, 'failed · exit 3').waitFor()
    await page.getByText('your code failed with exit code 3').first().waitFor()
    expect(loads).toBe(0)
    await page.close()
  })

  test('stop it half-way; the list shows it without a reload', async () => {
    const list = await open()
    const page = await open()
    await create(page, 'halved', 'sleep 600')
    await status(page, 'running').waitFor()
    await list
      .getByRole('row', { name: /halved/ })
      .getByText('running')
      .first()
      .waitFor()
    await page.getByRole('button', { name: 'Stop halved' }).click()
    await status(page, 'stopped').waitFor()
    await list
      .getByRole('row', { name: /halved/ })
      .getByText('stopped')
      .first()
      .waitFor()
    await list
      .getByRole('row', { name: /halved/ })
      .getByRole('button', { name: 'Run again' })
      .click()
    await list
      .getByRole('row', { name: /halved/ })
      .getByText('running')
      .first()
      .waitFor()
    await list
      .getByRole('row', { name: /halved/ })
      .getByRole('button', { name: 'Stop' })
      .click()
    await list
      .getByRole('row', { name: /halved/ })
      .getByText('stopped')
      .first()
      .waitFor()
    await Promise.all([page.close(), list.close()])
  })

  test('a page that hears of nothing stops no run that it does not show; it says so, and is right again', async () => {
    const { id } = await desk.sdk.create({ name: 'unheard', command: 'sleep 600' })
    const page = await open()
    await page.route('**/events*', (route) => route.abort())
    await page.reload()
    const row = page.getByRole('row', { name: /unheard/ })
    await row.getByRole('button', { name: 'Start' }).waitFor()
    await desk.sdk.setDesiredState(id, 'RUNNING')
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await row.getByRole('button', { name: 'Start' }).click()
    await page.getByText(/Nothing was done.*STOPPED is wanted by test/).waitFor()
    await row.getByRole('button', { name: 'Run again' }).click()
    await row.getByRole('button', { name: 'Stop' }).waitFor()
    expect(await page.getByText('Nothing was done').count()).toBe(0)
    expect(await desk.sdk.get(id)).toMatchObject({ desired_state: 'RUNNING', run: 2 })
    await desk.sdk.setDesiredState(id, 'STOPPED')
    await page.close()
  })

  test('whoever clicks faster than the page follows is not refused', async () => {
    const { id } = await desk.sdk.create({ name: 'quick', command: 'sleep 600' })
    const page = await open(`/e/${id}`)
    await page.getByRole('button', { name: 'Start quick' }).waitFor()
    // The answer to the first click does not arrive before the second is answered; nor does any news.
    const answers: number[] = []
    const second = Promise.withResolvers<void>()
    await page.route('**/events*', (route) => route.abort())
    await page.route('**/state', async (route) => {
      const isFirst = answers.length === 0
      const response = await route.fetch()
      answers.push(response.status())
      if (isFirst) await second.promise
      else second.resolve()
      await route.fulfill({ response })
    })
    await page.reload()
    await page.getByRole('button', { name: 'Start quick' }).click()
    await expect.poll(() => answers, { timeout: 20_000 }).toEqual([200])
    await page.getByRole('button', { name: 'Terminate quick' }).click()
    await expect.poll(() => answers, { timeout: 20_000 }).toEqual([200, 200])
    expect(await desk.sdk.get(id)).toMatchObject({ desired_state: 'TERMINATED' })
    await page.close()
  })

  test('what is wrong with a form is said beside the field, and nothing typed is lost', async () => {
    const page = await open('/new')
    await page.getByLabel('Name', { exact: true }).fill('not a name!')
    await page.getByLabel('Flags', { exact: true }).fill('lr=0.1\nwhat is this')
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByText('fields need another look').waitFor()
    await page.getByText('line 2 is not key=value: what is this').first().waitFor()
    expect(await page.getByLabel('Name', { exact: true }).inputValue()).toBe('not a name!')
    expect(await page.getByLabel('Flags', { exact: true }).inputValue()).toBe('lr=0.1\nwhat is this')
    await page.close()
  })

  test('edit the flags: the command that will run follows', async () => {
    const page = await open()
    await create(page, 'edited', 'echo {name} {flags}')
    await page.getByRole('link', { name: 'edit' }).click()
    await page.getByLabel('Flags', { exact: true }).fill('lr=1e-3\nnote=two words')
    await page.getByRole('button', { name: 'Save' }).click()
    await page.locator('#config pre', { hasText: "echo edited lr=0.001 'note=two words'" }).waitFor()
    await page.close()
  })

  test('everything works without script', async () => {
    const page = await open('/', { javaScriptEnabled: false })
    await create(page, 'plain', 'echo plain words; sleep 600')
    await expect
      .poll(
        async () => {
          await page.reload()
          return page.locator('#summary .status').textContent()
        },
        { timeout: 20_000 },
      )
      .toContain('running')
    await page.getByRole('link', { name: 'open', exact: true }).click()
    await page.getByText('plain words').waitFor()
    await page.goBack()
    await page.getByRole('button', { name: 'Stop plain' }).click()
    await expect
      .poll(
        async () => {
          await page.reload()
          return page.locator('#summary .status').textContent()
        },
        { timeout: 20_000 },
      )
      .toContain('stopped')
    await page.close()
  })

  test('hands off and on again, deleted and brought back: each on the page that shows it', async () => {
    const page = await open()
    await create(page, 'handled', 'sleep 600')
    await status(page, 'running').waitFor()
    await page.getByRole('button', { name: 'Hold handled' }).click()
    await page.locator('.headline .tag', { hasText: 'held' }).waitFor()
    await page.getByRole('button', { name: 'Release handled' }).click()
    await page.locator('.headline .tag', { hasText: 'running' }).waitFor()
    await page.getByText('Delete', { exact: true }).click()
    await page.getByRole('button', { name: 'Delete handled' }).click()
    await page.getByText('handled is deleted').waitFor()
    await page.getByRole('button', { name: 'Undelete handled' }).click()
    await page.getByRole('heading', { name: 'handled', exact: true }).waitFor()
    // Whether the clean-up was still going on or over, nothing runs and it can be started again.
    await page.getByRole('button', { name: 'Run again' }).click()
    await status(page, 'running').waitFor()
    await page.close()
  })

  test('how it is treated is chosen in the form, without script too', async () => {
    const page = await open('/new', { javaScriptEnabled: false })
    await page.getByLabel('Name', { exact: true }).fill('treated')
    await page.getByLabel('Command', { exact: true }).fill('exit 3')
    await page.getByText('How it is treated').click()
    await page.getByLabel('When it ends, start it again').selectOption('on-failure')
    await page.getByLabel('Restarts', { exact: true }).fill('1')
    await page.getByLabel('First pause').fill('1 s')
    await page.getByLabel('Longest run').fill('2 h 30 min')
    await page.getByRole('button', { name: 'Create' }).click()
    await page.getByText('after a failure, at most 1×').waitFor()
    await page.getByText('2 h 30 min').waitFor()
    await expect
      .poll(
        async () => {
          await page.reload()
          return page.locator('#summary .headline').textContent()
        },
        { timeout: 30_000 },
      )
      .toContain('restarted 1 times, which is the limit')
    await page.close()
  })

  test('after a restart everything is there again', async () => {
    expect(await desk.stop()).toEqual([])
    await desk.start()
    const page = await open()
    for (const name of ['watched', 'halved', 'edited', 'plain'])
      await page.getByRole('link', { name, exact: true }).waitFor()
    await page.getByRole('link', { name: 'watched', exact: true }).click()
    await status(page, 'failed · exit 3').waitFor()
    await page.locator('.output', { hasText: 'step 6' }).waitFor()
    await page.close()
  })

  test('no page complained', () => {
    expect(problems).toEqual([])
  })
})
