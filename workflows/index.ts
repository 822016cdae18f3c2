export { endOrphan } from './end-orphan.ts'
export { experiment } from './experiment.ts'
export { fleet } from './fleet.ts'
