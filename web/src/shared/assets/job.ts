import { api, csrf, ok } from "../api/client";
import { together } from "../i18n/said";
import { queryClient } from "../query";
import { type DetailedError, Upload } from "tus-js-client";
import { fingerprint, forgetVersion, uploadStore } from "./store";

export type AssetKind = "algorithms" | "datasets" | "models";

/** The three kinds have the same routes; the types of one serve for all. */
export const assetPath = <Suffix extends string>(kind: AssetKind, suffix: Suffix) =>
  `/api/v1/${kind}${suffix}` as `/api/v1/algorithms${Suffix}`;

export interface Source {
  file: File;
  /** Where it lies in the version, with slashes. */
  path: string;
  /** An archive is unpacked after publishing. */
  archive: boolean;
}

export interface Item extends Source {
  sent: number;
  status: "waiting" | "sending" | "done" | "failed";
  error?: string;
}

export interface Progress {
  items: readonly Item[];
  status: "sending" | "paused" | "failed" | "publishing" | "done";
  sent: number;
  total: number;
  /** Bytes per second, lately. */
  speed: number;
  error?: string;
}

const CHUNK = 16 * 2 ** 20;
const PARALLEL = 3;
const RETRIES_MS = [0, 1000, 3000, 5000, 10_000, 20_000];
const REDRAW_MS = 200;

/**
 * Uploads files into one draft version and publishes it. It lives outside the pages, so one may walk about meanwhile.
 * What was sent is remembered by the browser: choosing the same files again, even after a reload, goes on from there.
 */
export class UploadJob {
  private items: Item[];
  private uploads = new Map<Item, Upload>();
  private listeners = new Set<() => void>();
  private status: Progress["status"] = "sending";
  private error?: string;
  private snapshot: Progress;
  private redraw?: ReturnType<typeof setTimeout>;
  private rate = { at: 0, sent: 0, speed: 0 };

  constructor(
    readonly kind: AssetKind,
    readonly assetId: string,
    readonly version: { id: string; number: number },
    sources: Source[],
  ) {
    this.items = sources.map((source) => ({ ...source, sent: 0, status: "waiting" }));
    this.snapshot = this.take();
  }

  start(): this {
    window.addEventListener("beforeunload", this.warn);
    this.fill();
    return this;
  }

  pause(): void {
    this.status = "paused";
    for (const [item, upload] of this.uploads) {
      void upload.abort();
      item.status = "waiting";
    }
    this.uploads.clear();
    this.changed();
  }

  resume(): void {
    this.status = "sending";
    this.error = undefined;
    for (const item of this.items) if (item.status === "failed") item.status = "waiting";
    this.fill();
    this.changed();
  }

  /** Forget it here; the draft stays and may be continued. */
  drop(): void {
    this.pause();
    this.close();
  }

  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  progress = () => this.snapshot;

  private fill(): void {
    if (this.status !== "sending") return;
    const waiting = this.items.filter((item) => item.status === "waiting");
    for (const item of waiting.slice(0, PARALLEL - this.uploads.size)) void this.send(item);
    if (this.uploads.size > 0) return;
    if (this.items.every((item) => item.status === "done")) void this.publish();
    else this.fail();
  }

  private async send(item: Item): Promise<void> {
    item.status = "sending";
    const upload: Upload = new Upload(item.file, {
      endpoint: "/api/v1/uploads",
      chunkSize: CHUNK,
      retryDelays: RETRIES_MS,
      urlStorage: uploadStore,
      metadata: { version_id: this.version.id, path: item.path, ...(item.archive && { archive: "true" }) },
      fingerprint: async () => fingerprint(this.version.id, item.path, item.file),
      onShouldRetry: (error) => mayRetry(error),
      onBeforeRequest: (request) => request.setHeader("X-CSRF-Token", csrf()),
      onProgress: (sent) => {
        item.sent = sent;
        this.changed();
      },
      onSuccess: () => {
        item.sent = item.file.size;
        item.status = "done";
        this.next(item);
      },
      onError: (error) => {
        item.status = "failed";
        item.error = reasonOf(error);
        this.next(item);
      },
    });
    this.uploads.set(item, upload);
    const [previous] = await upload.findPreviousUploads();
    if (this.uploads.get(item) !== upload) return;
    if (previous) upload.resumeFromPreviousUpload(previous);
    upload.start();
  }

  private next(item: Item): void {
    this.uploads.delete(item);
    this.fill();
    this.changed();
  }

  private fail(): void {
    this.status = "failed";
    this.error = this.items.find((item) => item.error)?.error;
  }

  private async publish(): Promise<void> {
    this.status = "publishing";
    this.changed();
    try {
      const path = { asset_id: this.assetId, number: this.version.number };
      await ok(api.POST(assetPath(this.kind, "/{asset_id}/versions/{number}/publish"), { params: { path } }));
      this.status = "done";
      void forgetVersion(this.version.id);
      this.close();
    } catch (error) {
      this.status = "failed";
      this.error = error instanceof Error ? error.message : String(error);
    }
    this.changed();
    void queryClient.invalidateQueries();
  }

  private close(): void {
    window.removeEventListener("beforeunload", this.warn);
    jobs.delete(this.version.id);
  }

  private warn = (event: BeforeUnloadEvent) => event.preventDefault();

  /** Redraw soon, but not for every packet. */
  private changed(): void {
    this.redraw ??= setTimeout(() => {
      this.redraw = undefined;
      this.snapshot = this.take();
      for (const listener of this.listeners) listener();
    }, REDRAW_MS);
  }

  private take(): Progress {
    const sent = this.items.reduce((sum, item) => sum + item.sent, 0);
    const total = this.items.reduce((sum, item) => sum + item.file.size, 0);
    const now = performance.now();
    if (now - this.rate.at > 1000) {
      const speed = this.rate.at ? Math.max(0, ((sent - this.rate.sent) * 1000) / (now - this.rate.at)) : 0;
      this.rate = { at: now, sent, speed };
    }
    return { items: [...this.items], status: this.status, sent, total, speed: this.rate.speed, error: this.error };
  }
}

function mayRetry(error: DetailedError): boolean {
  const status = error.originalResponse?.getStatus() ?? 0;
  const creating = error.originalRequest?.getMethod() === "POST";
  return status === 0 || status >= 500 || status === 423 || (status === 409 && !creating);
}

function reasonOf(error: Error | DetailedError): string {
  const body = "originalResponse" in error ? error.originalResponse?.getBody() : "";
  try {
    const { detail, cure } = JSON.parse(body || "{}") as { detail?: string; cure?: string };
    if (detail) return together(detail, cure);
  } catch {
    // Not a problem document: the error's own words serve.
  }
  return error.message;
}

const jobs = new Map<string, UploadJob>();

/** The upload that runs for a version, if any. */
export const jobOf = (versionId: string) => jobs.get(versionId);

/** Make a new draft of an asset and upload into it. */
export async function uploadVersion(kind: AssetKind, assetId: string, note: string, sources: Source[]): Promise<void> {
  const version = await ok(
    api.POST(assetPath(kind, "/{asset_id}/versions"), { params: { path: { asset_id: assetId } }, body: { note } }),
  );
  uploadInto(kind, assetId, version, sources);
}

/** Upload into a draft that is there: files that were sent whole are not sent again. */
export function uploadInto(
  kind: AssetKind,
  assetId: string,
  version: { id: string; number: number },
  sources: Source[],
) {
  jobs.get(version.id)?.drop();
  jobs.set(version.id, new UploadJob(kind, assetId, version, sources).start());
  void queryClient.invalidateQueries();
}
