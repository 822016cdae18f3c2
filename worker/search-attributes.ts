import type { Connection } from '@temporalio/client'

/** `temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD` */
const KEYWORD = 2

/** What the Temporal UI can filter by. Any number of workers may register it at once. */
export async function registerSearchAttributes(connection: Connection, namespace: string): Promise<void> {
  const isRegistered = async (): Promise<boolean> => {
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace })
    return 'SkyDeckState' in customAttributes && 'SkyDeckName' in customAttributes
  }
  if (await isRegistered()) return
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- the enum is in a package that is not ours to import
      searchAttributes: { SkyDeckState: KEYWORD, SkyDeckName: KEYWORD },
    })
  } catch (error) {
    if (!(await isRegistered())) throw error
  }
}
