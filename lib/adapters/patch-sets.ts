/** The patch sets of a module: registered on first use, freed when no call uses them. */
import { unlessAborted } from '../errors.js';
import type { WeightPatch } from '../modules/weight-patch.js';

/** A module that accepts patches. */
export interface Patchable {
  readonly disposed: boolean;
  setPatches(id: string, patches: readonly WeightPatch[]): Promise<void>;
  /** Returns the bytes that a patch set would take. */
  patchBytes(patches: readonly WeightPatch[]): number;
}

interface PatchSet {
  users: number;
  readonly ready: Promise<void>;
}

export class PatchSets {
  private readonly sets = new Map<string, PatchSet>();

  /** @param keepsLast true to keep the set of the last call until a call needs another one */
  constructor(
    private readonly module: Patchable,
    private readonly keepsLast: boolean,
  ) {}

  get disposed(): boolean {
    return this.module.disposed;
  }

  /**
   * Registers the set unless it exists, and waits until it is ready.
   * @param id identifies the content of the set
   * @returns a function that frees the set, or keeps it for the next call
   * @throws as the module's `setPatches`
   */
  async acquire(
    id: string,
    patches: readonly WeightPatch[],
    signal: AbortSignal | undefined,
  ): Promise<() => void> {
    const set = this.sets.get(id) ?? this.register(id, patches);
    set.users++;
    this.dropIdle();
    let acquired = true;
    const release = () => {
      if (acquired) set.users--;
      acquired = false;
      if (!this.keepsLast) this.dropIdle();
    };
    try {
      await unlessAborted(set.ready, signal);
    } catch (error) {
      release();
      throw error;
    }
    return release;
  }

  /** Returns the bytes that a set takes. */
  bytes(patches: readonly WeightPatch[]): number {
    return this.module.patchBytes(patches);
  }

  /** Frees the sets that no call uses. */
  dropIdle(): void {
    for (const [id, { users }] of this.sets) {
      if (users > 0) continue;
      this.sets.delete(id);
      // Fails only if the module is disposed concurrently, which frees the memory too.
      if (!this.module.disposed) this.module.setPatches(id, []).catch(() => undefined);
    }
  }

  private register(id: string, patches: readonly WeightPatch[]): PatchSet {
    const set: PatchSet = { users: 0, ready: this.module.setPatches(id, patches) };
    this.sets.set(id, set);
    set.ready.catch(() => {
      // Removes a failed set, so that a later call tries again.
      if (this.sets.get(id) === set) this.sets.delete(id);
    });
    return set;
  }
}
