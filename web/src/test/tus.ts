import { vi } from "vitest";
import type { Refusal } from "./api";

/**
 * The server's end of uploads (tus 1.0.0), as a double of `XMLHttpRequest`, which alone tells how far a browser's
 * sending is. It answers at once, but holds what is sent (`PATCH`) while `tus.holding`: the test says how far it comes.
 */

interface File {
  url: string;
  length: number;
  offset: number;
  metadata: Record<string, string>;
  csrf: string | undefined;
}

const decode = (metadata: string) =>
  Object.fromEntries(
    metadata.split(",").map((pair) => {
      const [name = "", value = ""] = pair.split(" ");
      return [name, Buffer.from(value, "base64").toString()];
    }),
  );

export const tus = {
  holding: false,
  files: [] as File[],
  /** `POST`, `HEAD`, `PATCH 0`, … */
  calls: [] as string[],
  /** What is being sent now. */
  sending: [] as Sending[],
  /** How the next creations are refused. */
  refusal: undefined as Refusal | undefined,
  reset(): void {
    Object.assign(tus, { holding: false, files: [], calls: [], sending: [], refusal: undefined });
  },
};

/** One `PATCH` under way. */
class Sending {
  constructor(
    readonly request: Request,
    readonly file: File,
    readonly size: number,
  ) {}

  /** So many bytes have left the browser. */
  progress(loaded: number): void {
    this.request.upload.onprogress?.({ lengthComputable: true, loaded });
  }

  /** All has arrived. */
  arrive(): void {
    this.end();
    this.file.offset += this.size;
    this.request.answer(204, { "Upload-Offset": String(this.file.offset) });
  }

  /** The connection breaks after so many bytes. */
  cut(after: number): void {
    this.end();
    this.file.offset += after;
    this.request.onerror?.(new Event("error"));
  }

  end(): void {
    tus.sending = tus.sending.filter((one) => one !== this);
  }
}

class Request {
  upload: { onprogress?: (event: { lengthComputable: boolean; loaded: number }) => void } = {};
  onload?: () => void;
  onerror?: (event: Event) => void;
  status = 0;
  responseText = "";
  private method = "";
  private url = "";
  private headers: Record<string, string> = {};
  private answered = new Map<string, string>();
  private under?: Sending;

  open(method: string, url: string): void {
    [this.method, this.url] = [method, url];
  }

  setRequestHeader(name: string, value: string): void {
    this.headers[name.toLowerCase()] = value;
  }

  getResponseHeader = (name: string) => this.answered.get(name.toLowerCase()) ?? null;

  send(body: Blob | null): void {
    queueMicrotask(() => this.serve(body));
  }

  abort(): void {
    this.under?.end();
  }

  answer(status: number, headers: Record<string, string> = {}, text = ""): void {
    this.status = status;
    this.responseText = text;
    this.answered = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    this.onload?.();
  }

  private serve(body: Blob | null): void {
    const offset = this.headers["upload-offset"];
    tus.calls.push(offset === undefined ? this.method : `${this.method} ${offset}`);
    if (this.method === "POST") return this.create();
    const file = tus.files.find((one) => this.url.endsWith(one.url));
    if (!file) return this.answer(404);
    if (this.method === "HEAD")
      return this.answer(200, { "Upload-Offset": String(file.offset), "Upload-Length": String(file.length) });
    if (Number(offset) !== file.offset) return this.answer(409);
    this.under = new Sending(this, file, body?.size ?? 0);
    tus.sending.push(this.under);
    if (!tus.holding) this.under.arrive();
  }

  private create(): void {
    if (tus.refusal) {
      const { problem } = tus.refusal;
      return this.answer(problem.status, {}, JSON.stringify(problem));
    }
    const file = {
      url: `/api/v1/uploads/up_${tus.files.length + 1}`,
      length: Number(this.headers["upload-length"]),
      offset: 0,
      metadata: decode(this.headers["upload-metadata"] ?? ""),
      csrf: this.headers["x-csrf-token"],
    };
    tus.files.push(file);
    this.answer(201, { Location: file.url });
  }
}

vi.stubGlobal("XMLHttpRequest", Request);
