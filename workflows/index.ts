export { experiment } from './experiment.ts'
export { fleet } from './fleet.ts'
