import type { Spec } from './spec.ts'

/**
 * What a cluster is made from: machines and setup. Two specs with the same recipe can use one cluster after the other
 * with neither provisioning nor setup between them.
 */
export const recipeOf = ({ nodes, gpus, accelerator, cloud, instanceType, spot, setup }: Spec): string =>
  JSON.stringify([nodes, gpus, accelerator, cloud, instanceType, spot, hashOf(setup ?? '')])

/** FNV-1a over UTF-16 units, with the length beside it: short enough to be carried in a state. */
function hashOf(text: string): string {
  let hash = 0x811c_9dc5
  for (let index = 0; index < text.length; index += 1)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x0100_0193)
  return `${text.length}.${(hash >>> 0).toString(16)}`
}
