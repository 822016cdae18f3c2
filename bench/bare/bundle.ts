import { fileURLToPath } from 'node:url'
import { bundleWorkflowCode } from '@temporalio/worker'

const ignore = (): void => undefined
const tell = (message: string): void => void process.stderr.write(`${message}\n`)

let bundled: Promise<string> | undefined

/**
 * The bare workflows as one script, made once. Not by their worker: what bundling takes of memory would hide for a
 * long time what workflows take.
 */
export const bareBundle = (): Promise<string> => (bundled ??= bundle())

async function bundle(): Promise<string> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: fileURLToPath(new URL('workflows.ts', import.meta.url)),
    logger: { log: ignore, trace: ignore, debug: ignore, info: ignore, warn: ignore, error: tell },
  })
  return code
}
