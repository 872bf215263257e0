/** Ends steps that nobody asks for any more, so that what they hold is freed; of steps that have come to their end, nothing. */
export async function endSteps<Step, Result>(steps: AsyncGenerator<Step, Result>): Promise<void> {
  const unfinished: AsyncGenerator<Step, Result | undefined> = steps;
  await unfinished.return(undefined);
}
