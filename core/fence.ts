/**
 * The fence. Looking before a launch cannot exclude a second copy, for SkyPilot may go on with a launch that it has
 * forgotten. So the first thing a job does is to ask SkyDeck for the lease of its attempt; a second job of the same
 * attempt is refused and leaves before the person's code begins. The same job may ask again after a recovery.
 * - `off`: no job asks
 * - `try`: a desk that cannot be reached lets the job run
 * - `require`: a job that cannot ask does not run
 */
export type FenceMode = 'off' | 'try' | 'require'
export const FENCE_MODES: readonly FenceMode[] = ['off', 'try', 'require']

/** The exit code of a job that found its lease held by another, or could not ask although it had to. */
export const FENCED_EXIT_CODE = 86

export interface Fence {
  mode: FenceMode
  /** Where the lease of this attempt is asked for. */
  url: string
  /** What shows that the asking job is one of this attempt. */
  token: string
}

/**
 * Lines before a job's command. They need a shell and one of curl or python3; where neither is there, it is as if
 * the desk could not be reached. SKYPILOT_TASK_ID is the same for all nodes of a job and after its recovery.
 */
const PREAMBLE = `
__skydeck_ask() {
  if command -v curl >/dev/null 2>&1; then
    curl -s -o /dev/null -m 15 -w '%{http_code}' -X POST -H "Authorization: Bearer $SKYDECK_FENCE_TOKEN" -H 'Content-Type: application/json' -d "{\\"holder\\": \\"$SKYPILOT_TASK_ID\\"}" "$SKYDECK_FENCE_URL"
  elif command -v python3 >/dev/null 2>&1; then
    python3 -c 'import json, os, urllib.error, urllib.request as r
q = r.Request(os.environ["SKYDECK_FENCE_URL"], json.dumps({"holder": os.environ.get("SKYPILOT_TASK_ID", "")}).encode(), {"Authorization": "Bearer " + os.environ["SKYDECK_FENCE_TOKEN"], "Content-Type": "application/json"})
try: print(r.urlopen(q, timeout=15).status)
except urllib.error.HTTPError as e: print(e.code)
except Exception: print(0)'
  else echo 0; fi
}
__skydeck_answer=$(__skydeck_ask 2>/dev/null) || true
if [ "$__skydeck_answer" = 409 ]; then
  echo "skydeck: another job of this attempt is running already; this one leaves" >&2
  exit ${FENCED_EXIT_CODE}
elif [ "$__skydeck_answer" != 200 ] && [ "$SKYDECK_FENCE" = require ]; then
  echo "skydeck: the desk could not be asked for the lease of this attempt (answer: $__skydeck_answer), and SKYDECK_FENCE is require" >&2
  exit ${FENCED_EXIT_CODE}
fi
unset -f __skydeck_ask; unset __skydeck_answer SKYDECK_FENCE_TOKEN
`.trim()

interface Fenceable {
  envs: Record<string, string>
  run: string
}

/** Puts the fence before a task's command. With `off` the task stays as it is. */
export const fenced = <T extends Fenceable>(task: T, fence: Fence): T =>
  fence.mode === 'off'
    ? task
    : {
        ...task,
        envs: {
          ...task.envs,
          SKYDECK_FENCE: fence.mode,
          SKYDECK_FENCE_URL: fence.url,
          SKYDECK_FENCE_TOKEN: fence.token,
        },
        run: `${PREAMBLE}\n${task.run}`,
      }
