import type { Client, WorkflowHandle } from '@temporalio/client'
import { expect } from 'vitest'
import type { Experiment } from '../../core/experiment.ts'
import type { TestDesk } from '../support/desk.ts'

/** What a story has to work with. */
export interface Scene {
  desk: TestDesk
  id: number
  name: string
  handle: WorkflowHandle
  state: () => Promise<Experiment>
}

interface Story {
  command: string
  /** Wished at the creation. */
  starts: boolean
  tell: (scene: Scene) => Promise<unknown>
}

const POLL = { timeout: 60_000, interval: 100 }
const sleeping = 'sleep 600'

const until = async (scene: Scene, phase: string): Promise<void> => {
  await scene.desk.sdk.waitFor(scene.id, phase as 'running', { timeoutMs: 60_000 })
}
const wish = (scene: Scene, state: 'RUNNING' | 'STOPPED' | 'TERMINATED') =>
  scene.desk.sdk.setDesiredState(scene.id, state)
const retrying = (maxRestarts: number) => ({
  policy: { restart: { when: 'on-failure', backoffMs: 200, backoffMaxMs: 400, maxRestarts } },
})

/** The stories whose histories must replay for ever. Each begins with an experiment that was just created. */
export const STORIES: Readonly<Record<string, Story>> = {
  idle: { command: 'true', starts: false, tell: async () => undefined },
  succeeds: { command: 'true', starts: true, tell: (scene) => until(scene, 'succeeded') },
  'fails-five-times': {
    command: 'exit 7',
    starts: false,
    tell: async (scene) => {
      await scene.handle.executeUpdate('edit', { args: [retrying(4)] })
      await wish(scene, 'RUNNING')
      await expect.poll(async () => (await scene.state()).attempt?.attempt, POLL).toBe(5)
      await until(scene, 'failed')
    },
  },
  'stopped-during-launch': {
    command: sleeping,
    starts: false,
    tell: async (scene) => {
      await scene.desk.faults([{ match: '/jobs/launch', kind: 'hold', delayMs: 3_000, times: 1 }])
      await wish(scene, 'RUNNING')
      await expect.poll(async () => (await scene.state()).attempt?.progress.phase, POLL).toBe('requested')
      await wish(scene, 'STOPPED')
      await until(scene, 'stopped')
      await scene.desk.faults([])
    },
  },
  'cancel-answer-lost': {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await until(scene, 'running')
      await scene.desk.faults([{ match: '/jobs/cancel', kind: 'drop-after', times: 1 }])
      await wish(scene, 'STOPPED')
      await until(scene, 'stopped')
    },
  },
  'launch-answer-lost': {
    command: sleeping,
    starts: false,
    tell: async (scene) => {
      await scene.desk.faults([{ match: '/jobs/launch', kind: 'drop-after', times: 1 }])
      await wish(scene, 'RUNNING')
      await until(scene, 'running')
      await wish(scene, 'STOPPED')
      await until(scene, 'stopped')
    },
  },
  'cancelled-by-somebody': {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await until(scene, 'running')
      const { attempt } = await scene.state()
      const jobId = attempt?.progress.phase === 'active' ? attempt.progress.jobId : 0
      await scene.desk.skypilot('/jobs/cancel', { job_ids: [jobId] })
      await until(scene, 'stopped')
    },
  },
  'deleted-while-running': {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await until(scene, 'running')
      await scene.desk.sdk.delete(scene.id)
      await scene.handle.result()
    },
  },
  'edited-while-running': {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await until(scene, 'running')
      await scene.desk.sdk.setFlags(scene.id, { lr: 2 })
      await wish(scene, 'TERMINATED')
      await until(scene, 'terminated')
    },
  },
  'limited-in-time': {
    command: sleeping,
    starts: false,
    tell: async (scene) => {
      await scene.handle.executeUpdate('edit', { args: [{ policy: { maxRunMs: 2_000 } }] })
      await wish(scene, 'RUNNING')
      await until(scene, 'failed')
      expect((await scene.state()).closing).toMatchObject({ status: 'LIMIT' })
    },
  },
  'held-and-released': {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await until(scene, 'running')
      await scene.handle.signal('hold', { actor: 'ann', reason: 'looking into it' })
      await wish(scene, 'STOPPED')
      await expect.poll(async () => (await scene.state()).told.headline, POLL).toBe('held')
      await scene.handle.signal('release', { actor: 'ann' })
      await until(scene, 'stopped')
    },
  },
  poisoned: {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await scene.handle.signal('setDesiredState', { nonsense: true })
      await scene.handle.signal('observe', 'no facts')
      await scene.handle.signal('noSuchSignal')
      await until(scene, 'running')
      expect((await scene.state()).badMessages).toBe(3)
      await wish(scene, 'STOPPED')
      await until(scene, 'stopped')
    },
  },
  'a-burst-of-300': {
    command: sleeping,
    starts: false,
    tell: async (scene) => {
      const words = Array.from({ length: 300 }, (_, index) => (index % 2 === 0 ? 'TERMINATED' : 'STOPPED'))
      await Promise.all(words.map((word) => scene.handle.signal('setDesiredState', word)))
      await expect.poll(async () => (await scene.state()).desired.generation, POLL).toBeGreaterThan(100)
    },
  },
  // What is done does not wait for the tables.
  'tables-away': {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await until(scene, 'running')
      const thaw = scene.desk.freeze('postgres')
      try {
        await scene.handle.signal('setDesiredState', 'STOPPED')
        await expect.poll(async () => (await scene.state()).attempt?.progress.phase, POLL).toBe('ended')
      } finally {
        thaw()
      }
      await until(scene, 'stopped')
    },
  },
  watched: { command: sleeping, starts: true, tell: (scene) => until(scene, 'running') },
  'unknown-status': {
    command: sleeping,
    starts: true,
    tell: async (scene) => {
      await until(scene, 'running')
      const { attempt } = await scene.state()
      if (attempt?.progress.phase !== 'active') throw new Error('it does not run')
      const { jobId, job } = attempt.progress
      const seenAtMs = job.seenAtMs + 1
      const observation = {
        jobId,
        jobName: attempt.jobName,
        clusterName: null,
        status: 'FROBNICATING',
        scheduleState: 'ALIVE',
        details: null,
        failureReason: null,
        submittedAtMs: null,
        startedAtMs: null,
        endedAtMs: null,
        recoveries: 0,
        seenAtMs,
      }
      const identity = {
        experimentId: scene.id,
        name: scene.name,
        run: attempt.run,
        attempt: attempt.attempt,
      }
      await scene.handle.signal('observe', [{ kind: 'observed', identity, observation }])
      await expect.poll(async () => (await scene.state()).told.why, POLL).toContain('FROBNICATING')
      await wish(scene, 'STOPPED')
      await until(scene, 'stopped')
    },
  },
  'on-a-cluster': {
    command: sleeping,
    starts: false,
    tell: async (scene) => {
      await scene.handle.executeUpdate('edit', { args: [{ spec: { executor: 'cluster' } }] })
      await wish(scene, 'RUNNING')
      await until(scene, 'running')
      await wish(scene, 'STOPPED')
      await until(scene, 'stopped')
      await wish(scene, 'RUNNING')
      await until(scene, 'running')
      await wish(scene, 'TERMINATED')
      await until(scene, 'terminated')
    },
  },
}

/** Creates the experiment of a story and tells it; gives the workflow, whose history is the story. */
export async function tellStory(
  desk: TestDesk,
  temporal: Client,
  title: string,
  name = title,
): Promise<Scene> {
  const story = STORIES[title]
  if (!story) throw new Error(`there is no story "${title}"`)
  const desiredState = story.starts ? 'RUNNING' : 'STOPPED'
  const { id } = await desk.sdk.create({ name, command: story.command, desiredState })
  const handle = temporal.workflow.getHandle(`experiment-${id}`)
  const scene = { desk, id, name, handle, state: () => handle.query<Experiment>('getState') }
  await story.tell(scene)
  return scene
}
