import { z } from 'zod'

/** How the pretended cloud behaves. All can be set at the start and while it runs. */
const Settings = z.strictObject({
  /** From the beginning of a launch to the cluster being up. */
  provisionMs: z.int().min(0).max(3_600_000),
  /** How long a cluster takes to stop or to go, beside the end of its jobs. */
  stopMs: z.int().min(0).max(3_600_000),
  /** From a job's last status to its schedule state being DONE. */
  doneLagMs: z.int().min(0).max(3_600_000),
  /** How long a cancelled managed job is CANCELLING at least. */
  cancellingMs: z.int().min(0).max(3_600_000),
  /** How long a managed job is RECOVERING at least. */
  recoveryMs: z.int().min(0).max(3_600_000),
  /** How long a minute of autostop is: tests have no minutes. */
  autostopMinuteMs: z.int().min(1).max(60_000),
  /** So many LONG requests run at once; the others wait. */
  longRequests: z.int().min(1).max(1_000),
  /** What a cluster costs for each of its nodes. */
  pricePerHour: z.number().min(0),
  /** What one node of a cluster can have at most. Nothing is reserved: they share this machine. */
  cpus: z.number().min(1),
  memoryGb: z.number().min(1),
  /** Accelerators and how many of each a node can have. They are only pretended. */
  accelerators: z.record(z.string(), z.int().min(1)),
})
export type Settings = z.infer<typeof Settings>

/** Some of the settings; the others stay as they are. */
export const SettingsChange = Settings.partial()
export type SettingsChange = z.infer<typeof SettingsChange>

export const DEFAULT_SETTINGS: Settings = {
  provisionMs: 200,
  stopMs: 50,
  doneLagMs: 0,
  cancellingMs: 0,
  recoveryMs: 100,
  autostopMinuteMs: 60_000,
  longRequests: 4,
  pricePerHour: 0,
  cpus: 256,
  memoryGb: 1_024,
  accelerators: {
    A10: 8,
    A10G: 8,
    A100: 8,
    'A100-80GB': 8,
    B200: 8,
    H100: 8,
    H200: 8,
    L4: 8,
    L40S: 8,
    RTX4090: 8,
    T4: 8,
    V100: 8,
  },
}
