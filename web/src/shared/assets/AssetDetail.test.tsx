import "fake-indexeddb/auto";
import { screen, waitFor, within } from "@testing-library/react";
import { afterEach, beforeEach, expect, test } from "vitest";
import { dialog, gone, pass } from "../../test/act";
import { refuse, server } from "../../test/api";
import * as make from "../../test/make";
import { show } from "../../test/show";
import { tus } from "../../test/tus";
import { AssetDetail } from "./AssetDetail";
import { jobOf, uploadInto } from "./job";

const ASSET = "/api/v1/algorithms/{asset_id}";
const VERSIONS = "/api/v1/algorithms/{asset_id}/versions";
const VERSION = "/api/v1/algorithms/{asset_id}/versions/{number}";
const PUBLISH = "/api/v1/algorithms/{asset_id}/versions/{number}/publish";

const draft = () => make.version({ number: 1, status: "draft", size: 0, files: 0 });
const file = (name: string, bytes = 10) => new File(["x".repeat(bytes)], name, { lastModified: 1 });
const source = (name: string, bytes?: number) => ({ file: file(name, bytes), path: name, archive: false });

let versions: ReturnType<typeof make.version>[] = [];

beforeEach(() => {
  versions = [];
  server.on("get", ASSET, () => make.asset({ id: "alg_1", all_versions: versions }));
  server.on("post", PUBLISH, () => make.version());
});

afterEach(() => {
  for (const version of versions) jobOf(version.id)?.drop();
  tus.reset();
});

/** A draft that is being uploaded, and its page. */
async function upload(...sources: ReturnType<typeof source>[]) {
  const version = draft();
  versions = [version];
  uploadInto("algorithms", "alg_1", version, sources);
  const { user } = show(<AssetDetail kind="algorithms" id="alg_1" />);
  await screen.findByText("Upload of version 1");
  return { user, version };
}

const sending = () =>
  waitFor(() => {
    expect(tus.sending).not.toEqual([]);
    return tus.sending[0] as (typeof tus.sending)[number];
  });

test("a new version is made, with its note, of the files that were chosen", async () => {
  const version = draft();
  server.on("post", VERSIONS, () => {
    versions = [version];
    return version;
  });
  const { user } = show(<AssetDetail kind="algorithms" id="alg_1" />);
  await user.click(await screen.findByRole("button", { name: "Upload version" }));
  const one = await dialog();
  const window = within(one);
  const send = () => user.click(window.getByRole("button", { name: "Upload" }));
  await send();
  expect(await window.findByText("Choose something first")).toBeVisible();
  await user.click(window.getByText("Files"));
  await user.upload(one.querySelector("input[type=file]") as HTMLInputElement, [file("a.py"), file("b.py")]);
  expect(await window.findByText("files: 2 · 20 B")).toBeVisible();
  await user.type(window.getByLabelText("Note"), "faster");
  tus.holding = true;
  await send();
  await gone(one);
  expect(server.sent("post", VERSIONS)).toEqual({ note: "faster" });
  await waitFor(() => expect(tus.sending).toHaveLength(2));
  expect(tus.files.map((each) => each.metadata)).toEqual([
    { version_id: version.id, path: "a.py" },
    { version_id: version.id, path: "b.py" },
  ]);
  expect(tus.files[0]?.csrf).toBe("csrf-1");
});

test("says how far it is; what has arrived is published", async () => {
  tus.holding = true;
  const { version } = await upload(source("a.py"));
  const one = await sending();
  one.progress(4);
  await pass(200);
  expect(screen.getByText(/4 B \/ 10 B/)).toBeVisible();
  expect(screen.getAllByText("40%")[0]).toBeVisible();
  expect(server.calls("post", PUBLISH)).toEqual([]);
  one.arrive();
  await waitFor(() => expect(server.calls("post", PUBLISH)).toHaveLength(1));
  expect(server.calls("post", PUBLISH)[0]?.path).toEqual({ asset_id: "alg_1", number: "1" });
  await waitFor(() => expect(jobOf(version.id)).toBeUndefined());
});

test("three at a time", async () => {
  tus.holding = true;
  await upload(...["a", "b", "c", "d", "e"].map((name) => source(name)));
  await waitFor(() => expect(tus.sending).toHaveLength(3));
  tus.sending[0]?.arrive();
  await waitFor(() => expect(tus.files).toHaveLength(4));
  expect(tus.sending.length).toBeLessThanOrEqual(3);
  expect(await screen.findByText(/files: 1 of 5/)).toBeVisible();
});

test("a cut connection does no harm: it goes on where it was", async () => {
  tus.holding = true;
  await upload(source("a.py"));
  (await sending()).cut(4);
  const again = await sending();
  expect(again.size).toBe(6);
  again.arrive();
  await waitFor(() => expect(server.calls("post", PUBLISH)).toHaveLength(1));
  expect(tus.calls).toEqual(["POST", "PATCH 0", "HEAD", "PATCH 4"]);
});

test("when it stays cut, it stops, says so, and goes on at a click", async () => {
  tus.holding = true;
  const { user } = await upload(source("a.py"));
  for (let tries = 0; tries < 7; tries += 1) {
    (await sending()).cut(0);
    await pass(20_000);
  }
  expect(await screen.findByText("Stopped")).toBeVisible();
  expect(screen.getByRole("alert")).toBeVisible();
  expect(server.calls("post", PUBLISH)).toEqual([]);
  await user.click(screen.getByRole("button", { name: "Resume" }));
  (await sending()).arrive();
  await waitFor(() => expect(server.calls("post", PUBLISH)).toHaveLength(1));
});

test("the same files chosen again, after a reload, are not sent twice", async () => {
  tus.holding = true;
  const { version } = await upload(source("a.py"), source("b.py"));
  await waitFor(() => expect(tus.sending).toHaveLength(2));
  tus.sending.find((one) => one.file.metadata.path === "a.py")?.cut(4);
  jobOf(version.id)?.drop();
  await pass(0);
  tus.calls = [];
  uploadInto("algorithms", "alg_1", version, [source("a.py"), source("b.py")]);
  await waitFor(() => expect(tus.sending).toHaveLength(2));
  expect(tus.calls.toSorted()).toEqual(["HEAD", "HEAD", "PATCH 0", "PATCH 4"]);
  expect(tus.files).toHaveLength(2);
});

test("what the server refuses is said with its cure, and not tried again by itself", async () => {
  tus.refusal = refuse(413, { detail: "The file is larger than 10 GB.", cure: "Split it." });
  await upload(source("a.py"));
  expect(await screen.findByText("The file is larger than 10 GB. Split it.")).toBeVisible();
  expect(screen.getByText("Stopped")).toBeVisible();
  await pass(60_000);
  expect(tus.calls).toEqual(["POST"]);
});

test("what is paused sends nothing until it is resumed", async () => {
  tus.holding = true;
  const { user } = await upload(source("a.py"));
  await sending();
  await user.click(screen.getByRole("button", { name: "Pause" }));
  expect(await screen.findByText("Paused")).toBeVisible();
  expect(tus.sending).toEqual([]);
  await pass(60_000);
  expect(tus.calls).toEqual(["POST", "PATCH 0"]);
  await user.click(screen.getByRole("button", { name: "Resume" }));
  (await sending()).arrive();
  await waitFor(() => expect(server.calls("post", PUBLISH)).toHaveLength(1));
});

test("deleting the version ends its upload", async () => {
  tus.holding = true;
  server.on("delete", VERSION, () => {
    versions = [];
    return undefined;
  });
  const { user, version } = await upload(source("a.py"));
  await sending();
  await user.click(screen.getByRole("button", { name: "Delete" }));
  await user.click(within(await dialog()).getByRole("button", { name: "Delete" }));
  expect(await screen.findByText("No versions yet. Upload one.")).toBeVisible();
  expect(tus.sending).toEqual([]);
  expect(jobOf(version.id)).toBeUndefined();
  expect(screen.queryByText("Upload of version 1")).toBeNull();
});

test("what keeps it from being published is said, and tried again at a click", async () => {
  server.on("post", PUBLISH, refuse(409, { detail: "b.zip is missing." }));
  const { user } = await upload(source("a.py"));
  expect(await screen.findByText("b.zip is missing.")).toBeVisible();
  server.on("post", PUBLISH, make.version());
  await user.click(screen.getByRole("button", { name: "Resume" }));
  await waitFor(() => expect(server.calls("post", PUBLISH)).toHaveLength(2));
  expect(tus.calls.filter((call) => call === "POST")).toHaveLength(1);
});

test("who would leave the page meanwhile is asked", async () => {
  tus.holding = true;
  await upload(source("a.py"));
  const one = await sending();
  const leave = () => {
    const event = new Event("beforeunload", { cancelable: true });
    window.dispatchEvent(event);
    return event.defaultPrevented;
  };
  expect(leave()).toBe(true);
  one.arrive();
  await waitFor(() => expect(leave()).toBe(false));
});
