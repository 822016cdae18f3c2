/** What follows the end of an attempt. What is not given keeps its value, or has the default. */
export interface RestartPolicyInput {
  /** `never` unless said otherwise. */
  when?: 'never' | 'on-failure' | 'always'
  /** Whose failures are tried again: of your code, of machines and limits, or any. */
  failures?: 'any' | 'code' | 'infrastructure'
  /** Only these exit codes of your code; null for any. */
  exitCodes?: readonly number[] | null
  maxRestarts?: number
  /** The first pause. It doubles with every quick failure. */
  backoffSeconds?: number
  backoffMaxSeconds?: number
  /** An attempt that ran so long begins the count of restarts anew. */
  healthySeconds?: number
}

/** How SkyDeck treats an experiment. A change of it holds at once, also for what runs. */
export interface PolicyInput {
  restartPolicy?: RestartPolicyInput
  /** Running time of one attempt; null for no limit. */
  maxRunSeconds?: number | null
  /** Age of a run, waiting and restarts included; null for no limit. */
  maxAgeSeconds?: number | null
  /** 1 is started first. */
  priority?: 1 | 2 | 3 | 4 | 5
  /** What to do when somebody else ended what should run: start it again, leave it, or wait for a person. */
  drift?: 'heal' | 'stop' | 'ask'
  /** Minutes without a job after which the experiment's own cluster stops; null for never. */
  autostopMinutes?: number | null
}

/** The same under the names of the API. */
export function policyBody(given: PolicyInput): Record<string, unknown> {
  const { restartPolicy: restart } = given
  return {
    restart_policy: restart && {
      when: restart.when,
      failures: restart.failures,
      exit_codes: restart.exitCodes,
      max_restarts: restart.maxRestarts,
      backoff_seconds: restart.backoffSeconds,
      backoff_max_seconds: restart.backoffMaxSeconds,
      healthy_seconds: restart.healthySeconds,
    },
    max_run_seconds: given.maxRunSeconds,
    max_age_seconds: given.maxAgeSeconds,
    priority: given.priority,
    drift: given.drift,
    autostop_minutes: given.autostopMinutes,
  }
}
