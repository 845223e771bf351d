import type { PreviousUpload, UrlStorage } from "tus-js-client";

const NAME = "uploads";
let database: Promise<IDBDatabase> | undefined;

function open(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("utcloud", 1);
    request.onupgradeneeded = () => request.result.createObjectStore(NAME);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return database;
}

async function run<T>(mode: IDBTransactionMode, action: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const store = (await open()).transaction(NAME, mode).objectStore(NAME);
  return new Promise((resolve, reject) => {
    const request = action(store);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

const ofVersion = (versionId: string) => IDBKeyRange.bound(`${versionId}|`, `${versionId}|\uffff`);

/** What names a file's upload: choosing the same file again finds it. */
export const fingerprint = (versionId: string, path: string, file: File) =>
  [versionId, path, file.size, file.lastModified].join("|");

/** Forget the uploads of a version that is published. */
export const forgetVersion = (versionId: string) => run("readwrite", (store) => store.delete(ofVersion(versionId)));

/**
 * Where tus remembers uploads, one entry for each fingerprint. The browser's local storage, its default, is searched
 * whole for each file and holds some thousand entries only.
 */
export const uploadStore: UrlStorage = {
  findAllUploads: () => run("readonly", (store) => store.getAll()) as Promise<PreviousUpload[]>,
  findUploadsByFingerprint: async (name) => {
    const found = (await run("readonly", (store) => store.get(name))) as PreviousUpload | undefined;
    return found ? [found] : [];
  },
  removeUpload: (name) => run("readwrite", (store) => store.delete(name)),
  addUpload: async (name, upload) => {
    await run("readwrite", (store) => store.put({ ...upload, urlStorageKey: name }, name));
    return name;
  },
};
