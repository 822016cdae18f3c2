import type { Task } from './task.ts'

/** A task to run: a `Task`, or YAML text as SkyPilot's command reads it, of which several documents are a pipeline. */
export type TaskInput = Task | string

/** The YAML of a task, which is what goes over the wire. */
export const taskText = (task: TaskInput): string => (typeof task === 'string' ? task : task.toYaml())
