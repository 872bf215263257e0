/** Patch sets of one module: registered when a call first needs them, freed when no call does. */
import { unlessAborted } from '../errors.js';
import type { WeightPatch } from '../modules/weight-patch.js';

/** A module that can be patched. */
export interface Patchable {
  readonly disposed: boolean;
  setPatches(id: string, patches: readonly WeightPatch[]): Promise<void>;
}

interface PatchSet {
  users: number;
  readonly ready: Promise<void>;
}

export class PatchSets {
  private readonly sets = new Map<string, PatchSet>();

  /** @param keepsLast whether the set of the last call stays for a next one that needs the same, until one needs another */
  constructor(
    private readonly module: Patchable,
    private readonly keepsLast: boolean,
  ) {}

  get disposed(): boolean {
    return this.module.disposed;
  }

  /**
   * @param id tells this set from all others
   * @returns frees the set, or leaves it for the next call
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
    let held = true;
    const release = () => {
      if (held) set.users--;
      held = false;
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

  /** Frees the sets that no call uses. */
  dropIdle(): void {
    for (const [id, { users }] of this.sets) {
      if (users > 0) continue;
      this.sets.delete(id);
      // It fails only where the module goes meanwhile, and its memory with it.
      if (!this.module.disposed) this.module.setPatches(id, []).catch(() => undefined);
    }
  }

  private register(id: string, patches: readonly WeightPatch[]): PatchSet {
    const set: PatchSet = { users: 0, ready: this.module.setPatches(id, patches) };
    this.sets.set(id, set);
    set.ready.catch(() => {
      // A failed load is forgotten, so that it can be tried again.
      if (this.sets.get(id) === set) this.sets.delete(id);
    });
    return set;
  }
}
