// Loaded into workers whose memory is measured, and into each of their threads. What a thread could give back at any
// time is no memory of a workflow, but would be taken for it.
const EVERY_MS = 1_000

setInterval(() => globalThis.gc?.(), EVERY_MS).unref()
