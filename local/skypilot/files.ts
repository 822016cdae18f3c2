import { cpSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { RequestFailure } from './requests.ts'
import type { JobTask } from './task.ts'

/** Where an upload of a user is kept, unpacked. Both names come from outside. */
export function blobFolder(home: string, user: string, blobId: string): string {
  if (!/^[\w.-]{1,128}$/.test(user) || !/^[0-9a-f]{1,128}$/i.test(blobId) || /^\.+$/.test(user))
    throw new RequestFailure('ValueError', 'Invalid user hash or blob id')
  return join(home, 'blobs', user, blobId)
}

/**
 * Puts the files of a task into the folder of its job: the working directory into `work`, what belongs under the home
 * directory into `home`.
 * @throws RequestFailure when a file is not there
 */
export function placeFiles(
  task: Pick<JobTask, 'workdir' | 'fileMounts' | 'fileMountsMapping' | 'blobId'>,
  home: string,
  user: string,
  folder: string,
  work = join(folder, 'work'),
): void {
  mkdirSync(work, { recursive: true })
  const sourceOf = (given: string) => sourcePath(task, home, user, given)
  if (task.workdir !== null) {
    const source = sourceOf(task.workdir)
    if (!statSync(source, { throwIfNoEntry: false })?.isDirectory())
      throw new RequestFailure('ValueError', `Workdir must be a valid directory: ${task.workdir}`)
    cpSync(source, work, { recursive: true, verbatimSymlinks: true })
  }
  for (const [place, given] of Object.entries(task.fileMounts)) {
    const source = sourceOf(given)
    if (!existsSync(source))
      throw new RequestFailure('ValueError', `File mount source does not exist: ${given}`)
    const target = place.startsWith('~/') ? join(folder, 'home', place.slice(2)) : join(work, place)
    mkdirSync(dirname(target), { recursive: true })
    cpSync(source, target, { recursive: true, verbatimSymlinks: true })
  }
}

/** An uploaded file, or a path of this machine. */
function sourcePath(
  task: Pick<JobTask, 'fileMountsMapping' | 'blobId'>,
  home: string,
  user: string,
  given: string,
): string {
  const mapped = task.fileMountsMapping[given]
  if (mapped !== undefined && task.blobId !== null) {
    if (mapped.split('/').includes('..')) throw new RequestFailure('ValueError', `Invalid path: ${mapped}`)
    return join(blobFolder(home, user, task.blobId), mapped.replace(/^\/+/, ''))
  }
  return given
}
