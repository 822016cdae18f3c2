/** What stands in the fields of the form: text, as a person types it. */
export interface FormValues {
  name: string
  description: string
  command: string
  flag_style: string
  flags: string
  nodes: string
  gpus: string
  accelerator: string
  setup: string
  envs: string
  base_command: string
  tool_path: string
  git_branch: string
  cloud: string
  instance_type: string
  executor: string
  restart_when: string
  restart_failures: string
  restart_exit_codes: string
  restart_max_restarts: string
  restart_backoff_seconds: string
  restart_backoff_max_seconds: string
  restart_healthy_seconds: string
  max_run_seconds: string
  max_age_seconds: string
  priority: string
  drift: string
  autostop_minutes: string
  spot: boolean
  start: boolean
}

export type TextField = Exclude<keyof FormValues, 'spot' | 'start'>

/** The fields about how an experiment is treated, whatever it runs. */
export const POLICY_FIELDS = [
  'executor',
  'restart_when',
  'restart_failures',
  'restart_exit_codes',
  'restart_max_restarts',
  'restart_backoff_seconds',
  'restart_backoff_max_seconds',
  'restart_healthy_seconds',
  'max_run_seconds',
  'max_age_seconds',
  'priority',
  'drift',
  'autostop_minutes',
] as const satisfies readonly TextField[]
