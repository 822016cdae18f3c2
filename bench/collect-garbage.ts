// Loaded into workers whose memory is measured, and into each of their threads. What a thread could give back at any
// time is no memory of a workflow, but would be taken for it.
const EVERY_MS = 1_000

// The kind that also hands pages back to the machine.
setInterval(
  () => globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  EVERY_MS,
).unref()
