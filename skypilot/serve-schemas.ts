import { z } from 'zod'
import { milliseconds } from './schemas.ts'

const text = z.string().nullish().catch(null)
const number = z.number().nullish().catch(null)

/** One copy of a service. */
export const ReplicaRecord = z
  .object({
    replica_id: z.int(),
    name: text,
    status: z.string().min(1),
    version: number,
    launched_at: number,
    endpoint: text,
    is_spot: z.boolean().nullish().catch(null),
  })
  .transform((row) => ({
    replicaId: row.replica_id,
    /** Of its cluster. */
    name: row.name ?? null,
    status: row.status,
    version: row.version ?? null,
    launchedAtMs: milliseconds(row.launched_at),
    endpoint: row.endpoint ?? null,
    isSpot: row.is_spot ?? null,
  }))
export type ReplicaRecord = z.infer<typeof ReplicaRecord>

/** A service, as `/serve/status` lists it. */
export const ServiceRecord = z
  .object({
    name: z.string().min(1),
    status: z.string().min(1),
    active_versions: z.array(z.number()).nullish().catch(null),
    uptime: number,
    endpoint: text,
    policy: text,
    requested_resources_str: text,
    load_balancing_policy: text,
    target_num_replicas: number,
    replica_info: z.array(ReplicaRecord).nullish(),
  })
  .transform((row) => ({
    name: row.name,
    status: row.status,
    activeVersions: row.active_versions ?? [],
    /** When it became ready; the server calls it its uptime. Null before. */
    readySinceMs: milliseconds(row.uptime),
    endpoint: row.endpoint ?? null,
    autoscalingPolicy: row.policy ?? null,
    requestedResources: row.requested_resources_str ?? null,
    loadBalancingPolicy: row.load_balancing_policy ?? null,
    targetReplicas: row.target_num_replicas ?? null,
    replicas: row.replica_info ?? [],
  }))
export type ServiceRecord = z.infer<typeof ServiceRecord>
