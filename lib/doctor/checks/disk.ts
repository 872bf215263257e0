/** Checks the free space of the file systems that Safelight writes to. */
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { shownBytes } from '../../modules/memory-fit.js';
import type { DiskSpace, DoctorEnvironment } from '../environment.js';
import { fault, ok, type Result, warning } from '../finding.js';
import { existingFolder, usedFolders } from '../folders.js';
import { quoted } from '../installed.js';

/** Free bytes below which images and job records may not be written: some images of 1024 x 1024 pixels. */
const LEAST = 64e6;
/** Free bytes below which no SD1.5 checkpoint (2.1 GB in f16) can be downloaded and packed. */
const COMFORTABLE = 5e9;

interface Disk {
  readonly folder: string;
  readonly labels: string[];
  readonly space: DiskSpace;
}

export async function checkDisk(environment: DoctorEnvironment): Promise<readonly Result[]> {
  const disks = new Map<number, Disk>();
  const folders = [...usedFolders(environment), { label: 'temporary folder', path: tmpdir() }];
  for (const { label, path } of folders) {
    const folder = await existingFolder(path);
    const info = await stat(folder).catch(() => undefined);
    if (!info) continue; // reported by the check of the caches
    const known = disks.get(info.dev);
    if (known) known.labels.push(label);
    else {
      const space = await environment.diskSpace(folder).catch(() => undefined);
      if (space) disks.set(info.dev, { folder, labels: [label], space });
    }
  }
  return [...disks.values()].map((disk) => judge(environment, disk));
}

function judge(environment: DoctorEnvironment, { folder, labels, space }: Disk): Result {
  const { free, total, freeInodes } = space;
  const details = [`${folder}: ${labels.join(', ')}`];
  const facts = { details, data: { folder, uses: labels, free, total, freeInodes: freeInodes ?? null } };
  const disk = `The disk of ${quoted(folder)} has ${shownBytes(free)} of ${shownBytes(total)} free`;
  const command = makeSpace(environment, folder);
  if (freeInodes === 0)
    return fault(`The disk of ${quoted(folder)} has no free inodes: no file can be created`, command, facts);
  if (free < LEAST) return fault(`${disk}, images and jobs need ${shownBytes(LEAST)}`, command, facts);
  if (free < COMFORTABLE)
    return warning(`${disk}, too little for models: an SD1.5 checkpoint has 2.1 GB`, command, facts);
  return ok(`${shownBytes(free)} of ${shownBytes(total)} free at ${quoted(folder)}`, facts);
}

/** Returns a command that lists what takes the space; nothing is removed without the user's choice. */
function makeSpace({ platform }: DoctorEnvironment, folder: string): string {
  if (platform === 'win32') return 'npx safelight models';
  return `du -xk ${quoted(folder)} | sort -n | tail -n 20`;
}
