import { TestWorkflowEnvironment } from '@temporalio/testing'

// Starting a throw-away server makes the SDK fetch the program that fits it, and keep it in the folder we name.
const [, , downloadDir] = process.argv
if (downloadDir === undefined) throw new Error('usage: temporal-download <folder>')
const environment = await TestWorkflowEnvironment.createLocal({
  server: { executable: { type: 'cached-download', downloadDir } },
})
await environment.teardown()
